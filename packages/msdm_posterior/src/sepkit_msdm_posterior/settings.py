"""What a user may set: posterior, sampler and what follows, and the options of `get_separator("msdm_dirac", ...)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from sepkit.config import Frozen, validated
from sepkit.diffusion import Karras, get_sampler
from sepkit.errors import OptionError, nearest
from sepkit.separator import WindowSettings

from .config import Finish, MsdmConfig
from .posteriors import Dirac, Gaussian, Posterior, Projected, check_stable
from .sampling import StepwiseSampler

Kind = Literal["dirac", "gaussian", "projected"]
Weights = Literal["empirical", "calibrated", "uniform"]
Rest = Literal["local", "equal", "leave"]
Phase = Literal["own", "mixture"]

LAST_LEVEL = 1.5
"""Times sigma_min: what even a churned last step begins below."""

EVERYWHERE = 1e9
"""Above any sigma; JSON has no infinity."""

FIRST_STEM = "bass"
"""The stem that the published Dirac sampler takes as the rest."""


class MsdmSettings(WindowSettings):
    """The knobs of one separation.

    `posterior` with its own: Dirac's `source` (the stem that is what the others leave), Gaussian's `gamma`, Projected's
    `weights`, from the estimates' gain or power (`by`), averaged over `smooth` neighbouring bands and frames, and its
    `finish`: a sample, the mean that the last estimates' variances tell, or that mean at every step (`means`).
    `sampler`, a name of `sepkit.diffusion`, with `steps`, `churn`, `passes` and `eta` where it has them; `sigma_min`,
    `sigma_max` and `rho` of the levels. `samples` draws are averaged. `phase`: stems as decoded, or their magnitudes
    with the mixture's phase; `rest`: how what they leave of the mixture is shared out, by local power, equally, or not.
    """

    posterior: Kind
    source: str = FIRST_STEM
    gamma: float = Field(default=0.75, gt=0)
    weights: Weights = "empirical"
    by: Literal["gain", "power"] = "gain"
    smooth: tuple[int, ...] = ()
    finish: Finish = "sample"
    sampler: str = "churned_euler"
    steps: int = Field(default=20, ge=1)
    churn: float | None = Field(default=None, ge=0)
    passes: int | None = Field(default=None, ge=1)
    eta: float | None = Field(default=None, ge=0, le=1)
    sigma_min: float = Field(gt=0)
    sigma_max: float = Field(gt=0)
    rho: float = Field(gt=0)
    samples: int = Field(default=1, ge=1)
    phase: Phase = "own"
    rest: Rest = "equal"

    @property
    def schedule(self) -> Karras:
        """The levels to sample over."""
        return Karras(sigma_min=self.sigma_min, sigma_max=self.sigma_max, rho=self.rho)

    def made_sampler(self) -> StepwiseSampler:
        """The sampler; raises OptionError for a knob that it does not have."""
        knobs = {"churn": self.churn, "passes": self.passes, "eta": self.eta}
        given = {name: value for name, value in knobs.items() if value is not None}
        sampler = get_sampler(self.sampler, steps=self.steps, **given)
        if not isinstance(getattr(sampler, "steps", None), int):
            raise OptionError(f"The sampler {self.sampler!r} has no number of steps; take one of the core's.")
        return sampler  # type: ignore[return-value]

    def made_posterior(self, config: MsdmConfig) -> Posterior:
        """The posterior for a prior; raises OptionError for a stem or a calibration that the prior does not have."""
        if self.posterior == "dirac":
            if self.source not in config.stems:
                raise OptionError(f"source is {self.source!r}: {nearest(self.source, config.stems)}")
            return Dirac(source=config.stems.index(self.source))
        if self.posterior == "gaussian":
            return Gaussian(gamma=self.gamma)
        mean_below = {"sample": None, "mean": LAST_LEVEL * self.sigma_min, "means": EVERYWHERE}[self.finish]
        if self.weights != "calibrated":
            return Projected(weights=self.weights, by=self.by, smooth=self.smooth, mean_below=mean_below)
        if config.calibration is None:
            raise OptionError(
                "weights='calibrated' needs the errors that were measured after training, and this checkpoint has "
                "none: take weights='empirical'."
            )
        return Projected(weights="calibrated", error_variance=config.calibration, mean_below=mean_below)

    @property
    def network_calls(self) -> int:
        """Calls of the prior for each window."""
        per_step = 2 if self.sampler == "heun" else self.passes or 1
        return self.samples * (self.steps * per_step - (self.sampler == "heun"))


class Options(Frozen):
    """What every msdm method takes beside the host's options; None: by the quality.

    `codec` is that of the prior: with a checkpoint only its own can be asked for. `preset`, `codec` and `weights_seed`
    choose an untrained network. `prompt`, the path of a sound or a text, conditions a prior that was trained with an
    encoder; `encoder` names one other than that, and `guidance` is the prompt's weight: 1 is as trained.
    """

    preset: str | None = None
    codec: str | None = None
    weights_seed: int = Field(default=0, ge=0)
    prompt: str | None = None
    encoder: str | None = None
    guidance: float = Field(default=1.0, ge=0)
    sampler: str | None = None
    steps: int | None = Field(default=None, ge=1)
    churn: float | None = Field(default=None, ge=0)
    passes: int | None = Field(default=None, ge=1)
    eta: float | None = Field(default=None, ge=0, le=1)
    sigma_min: float | None = Field(default=None, gt=0)
    sigma_max: float | None = Field(default=None, gt=0)
    rho: float | None = Field(default=None, gt=0)
    samples: int | None = Field(default=None, ge=1)
    phase: Phase | None = None
    rest: Rest | None = None

    @property
    def fixed(self) -> dict[str, Any]:
        """Knobs that win over those of a quality."""
        return self.model_dump(include=set(MsdmSettings.model_fields) - {"overlap"}, exclude_none=True)


class DiracOptions(Options):
    """Options of `msdm_dirac`."""

    source: str | None = None


class GaussianOptions(Options):
    """Options of `msdm_gaussian`."""

    gamma: float | None = Field(default=None, gt=0)


class ProjectedOptions(Options):
    """Options of `msdm_projected`."""

    weights: Weights | None = None
    by: Literal["gain", "power"] | None = None
    smooth: tuple[int, ...] | None = None
    finish: Finish | None = None


OPTIONS: Mapping[Kind, type[Options]] = {
    "dirac": DiracOptions,
    "gaussian": GaussianOptions,
    "projected": ProjectedOptions,
}

PUBLISHED_STEPS = 150
QUALITIES: Mapping[Kind, Mapping[str, Mapping[str, Any]]] = {
    "dirac": {
        "fast": {"steps": 40, "churn": 20.0, "passes": 2},
        "balanced": {"steps": PUBLISHED_STEPS, "churn": 20.0, "passes": 2},
        "best": {"steps": PUBLISHED_STEPS, "churn": 20.0, "passes": 2, "samples": 4},
    },
    "gaussian": {
        "fast": {"steps": PUBLISHED_STEPS // 2, "churn": 40.0, "passes": 1},  # two passes of fewer steps diverge
        "balanced": {"steps": PUBLISHED_STEPS, "churn": 40.0, "passes": 2},
        "best": {"steps": PUBLISHED_STEPS, "churn": 40.0, "passes": 2, "samples": 4},
    },
    "projected": {
        "fast": {"steps": 10},
        "balanced": {"steps": 20},
        "best": {"steps": 20, "churn": 20.0, "samples": 8},  # samples that differ more have a better mean
    },
}
"""The published numbers of steps, churn and passes as `balanced`; what does best on the analytic toy with a quarter of
the calls as `fast`; the mean of several samples as `best`."""


def settings_for(
    kind: Kind, quality: str | int, fixed: Mapping[str, Any], config: MsdmConfig, *, additive: bool
) -> MsdmSettings:
    """The knobs of a posterior for a quality, a number being that of steps; `fixed` ones win.

    Where the codec is not `additive`, decoded stems get the mixture's phase. Raises OptionError for what the sampler or
    the prior does not have, and for a walk on which the posterior diverges.
    """
    known = QUALITIES[kind]
    if isinstance(quality, str) and quality not in known:
        raise OptionError(f"quality {quality!r} is not known: {nearest(quality, known)}")
    chosen = dict(known[quality]) if isinstance(quality, str) else {**known["balanced"], "steps": quality}
    if kind == "projected" and fixed.get("finish", config.finish) == "means":
        fixed = {"sampler": "renewed", **fixed}  # as training walked
    if fixed.get("sampler", "churned_euler") != "churned_euler":  # another sampler has knobs of its own
        chosen = {name: value for name, value in chosen.items() if name not in ("churn", "passes")}
    levels = config.separation.model_dump(include={"sigma_min", "sigma_max", "rho"})
    after = {
        "phase": "own" if additive else "mixture",
        "rest": "local" if kind == "gaussian" or not additive else "equal",
        "source": FIRST_STEM if FIRST_STEM in config.stems else config.stems[0],
        "finish": config.finish,
    }
    settings = validated(MsdmSettings, {"posterior": kind, **levels, **after, **chosen, **fixed}, f"msdm_{kind}")
    sampler, posterior = settings.made_sampler(), settings.made_posterior(config)
    ratios = [float(level.ratio) for level in settings.schedule.levels(settings.steps)]
    check_stable(posterior, ratios, float(getattr(sampler, "churn", 0.0)), len(config.stems))
    return settings
