"""How JSON is written where a grammar asks for it: llguidance's options for a schema. Pure."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

# Between two words stands what those write who write it well: a space, or a new line and what it is indented by, to the
# depth of six times four spaces. A weak model fills whatever it is left, everywhere.
_WHITE_SPACE = r" |\n[ \t]{0,24}"
JSON_FORM: "JsonCompileOptions" = {  # which a schema could give itself, too, and so ask for less than it says
    "whitespace_pattern": _WHITE_SPACE,
    "whitespace_flexible": True,
    "item_separator": ",",
    "key_separator": ":",
    "coerce_one_of": False,
    "lenient": False,
}
