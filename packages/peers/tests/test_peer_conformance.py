"""The conformance kit on tiny untrained networks of each peer; slow, because each case runs a network."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from sepkit.testing import SeparatorConformance
from sepkit_peers.demucs_methods import DemucsSeparator
from sepkit_peers.openunmix_methods import OpenUnmixSeparator, new_separator

pytestmark = pytest.mark.slow
FACTS = {"licence": "MIT", "trained": False}


class OnTiny(SeparatorConformance):
    """The kit, with the makers of tiny networks at hand."""

    tiny: ClassVar[Any]

    @pytest.fixture(autouse=True, scope="class")
    def _networks(self, request: pytest.FixtureRequest, tiny: Any) -> None:
        request.cls.tiny = tiny


class TestHTDemucs(OnTiny):
    method: ClassVar[str] = "htdemucs"

    def make(self) -> DemucsSeparator:
        return DemucsSeparator(self.tiny.demucs(self.method), self.method, facts=FACTS, provenance={})


class TestHDemucs(TestHTDemucs):
    method = "hdemucs"


class TestDemucsV2(TestHTDemucs):
    method = "demucs_v2"


class TestOpenUnmix(OnTiny):
    def make(self) -> OpenUnmixSeparator:
        peer = pytest.importorskip("openunmix.model")
        return OpenUnmixSeparator(new_separator(peer, self.tiny.openunmix()), "umxhq", facts=FACTS, provenance={})


class TestConvTasNet(SeparatorConformance):
    name = "conv_tasnet"
    options: ClassVar[dict[str, Any]] = {
        "untrained": True,
        "window_seconds": 0.2,
        "network": {"enc_num_feats": 8, "msk_num_feats": 8, "msk_num_hidden_feats": 8, "msk_num_stacks": 1},
    }

    @classmethod
    def setup_class(cls) -> None:
        pytest.importorskip("torchaudio.models")
