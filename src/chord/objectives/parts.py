"""The base class of all parts of the objective, and how a configuration chooses a part: ours, or an installed one."""

from typing import Annotated, Any, Union, get_args

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from chord.errors import UserError
from chord.plugins import Plugin, plugins
from chord.settings import Settings


class Part(Settings):
    """Settings of one part, with its formula as a method. YAML chooses the subclass by its `name`."""


class OpenUnion:
    """Opens a union of our own parts to plug-ins: Annotated[One | Power, OpenUnion("chord.token_weights", ...)].

    Plug-ins join when a settings class with this annotation is built, not when this package is imported, because they
    import it themselves. JSON schemas have our own parts only, so that they do not depend on what is installed.
    """

    def __init__(self, group: str, base: type[Part]):
        """group: of entry points. base: the class from which every part of the union is derived."""
        self.group = group
        self.base = base

    def union(self, own: Any) -> Any:
        """The union of our own parts and the installed ones."""
        parts = {_name(part): part for part in get_args(own)}
        for name, plugin in plugins(self.group).items():
            if name in parts:
                raise UserError(f"plug-in {plugin}: chord has a part {name} of its own; expected another name")
            parts[name] = self._part(plugin)
        return Union[tuple(parts.values())]  # noqa: UP007 - how many classes there are is not known here

    def __get_pydantic_core_schema__(self, own: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(Annotated[self.union(own), Field(discriminator="name")])

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        own = core["choices"].keys() - plugins(self.group).keys()
        return handler(core | {"choices": {name: core["choices"][name] for name in core["choices"] if name in own}})

    def _part(self, plugin: Plugin) -> type[Part]:
        part = plugin.value
        if isinstance(part, type) and issubclass(part, self.base) and _name(part) == plugin.name:
            return part
        raise UserError(
            f"plug-in {plugin}: expected {plugin.entry.value} to be a subclass of chord.{self.base.__name__} "
            f'with name: Literal["{plugin.name}"] = "{plugin.name}"'
        )


def _name(part: type[Part]) -> Any:
    """The default of the part's field `name`; None if it has no such field."""
    field = part.model_fields.get("name")
    return field.default if field else None
