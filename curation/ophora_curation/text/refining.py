"""Which language model refines narration at a site: the `[refine]` table of site.toml.

Without an endpoint the embedded rules do (instruction.py).
"""

from dataclasses import dataclass

from ophora_curation.errors import SettingsError
from ophora_curation.ranges import check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineSettings:
    """A local OpenAI-compatible endpoint, or none. Raises `SettingsError`."""

    endpoint: str = ""  # "http://127.0.0.1:8000/v1"; "" is the embedded rules
    model: str = ""  # the name that the endpoint knows the language model by
    vision_model: str = ""  # "" leaves the check of pictures out
    allowed_hosts: tuple[str, ...] = ()  # outside the site's network, named by the site's policy
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what can't be honoured."""
        check_range(self, "timeout_s", 1.0, 3600.0)
        if self.endpoint and not self.endpoint.startswith(("http://", "https://")):
            message = f'endpoint="{self.endpoint}": must begin with http:// or https://'
            raise SettingsError(message)
        if self.endpoint and not self.model:
            message = 'model="": must be the name that the endpoint knows the model by'
            raise SettingsError(message)
        if self.vision_model and not self.endpoint:
            message = f'vision_model="{self.vision_model}": needs an endpoint'
            raise SettingsError(message)

    def outcome(self) -> dict[str, str]:
        """What of it can change an instruction or a tier."""
        return {"model": self.model, "vision_model": self.vision_model}
