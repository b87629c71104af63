"""What the platform can be asked for, as configuration: see `modes.toml`. One reader and one bound serve every mode."""

from workers.modes.bounds import bound_units
from workers.modes.modes import MODES, Gives, Mode, mode_named
from workers.modes.parameters import Property, check_model_parameters
from workers.modes.reading import FileReference, ModeInput, check_files, read_input, requested_template
from workers.modes.structured import StructuredInvalid, validate_structured
from workers.modes.templating import Template, TemplateDefinition

__all__ = [
    "MODES",
    "FileReference",
    "Gives",
    "Mode",
    "ModeInput",
    "Property",
    "StructuredInvalid",
    "Template",
    "TemplateDefinition",
    "bound_units",
    "check_files",
    "check_model_parameters",
    "mode_named",
    "read_input",
    "requested_template",
    "validate_structured",
]
