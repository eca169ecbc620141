"""The songs of Saraga 1.5 Carnatic that have a microphone on the singer: concert -> songs, as its folders are named.

They are those for which the index of Saraga 1.5 in the package mirdata, saraga_carnatic_index.json, names a vocal
track.
"""

from __future__ import annotations

MULTITRACK: dict[str, tuple[str, ...]] = {
    "Sumitra Nitin at Arkay by Sumitra Nitin": (
        "Dorakuna",
        "Ganamuda Panam",
        "Chidambara Natarajam",
        "Vandalum",
        "Thiruveragane Saveri Varnam",
        "Rama Daya Judave",
    ),
    "Salem Gayatri Venkatesan at Arkay by Salem Gayatri Venkatesan": (
        "Neene Ballideno",
        "Paragu Matada",
        "Palisomma Muddu Sarade",
        "Ramakrishnaru Manege",
        "Bandadella Barali",
        "Tamburi Mitidava",
        "Sharanu Janakana",
    ),
}
