"""Values of enums that the schema does not define: protobuf keeps them, and code that compares would take a default."""

from __future__ import annotations

from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

#: Layers are checked one by one, each with its own place in the model.
_CHECKED_ALONE = "NeuralNetworkLayer"


def undefined_enum(message: Message) -> str:
    """Say which enum field, in the message or one inside it, has a value that the schema lacks; empty if none has.

    Layers inside the message are left out.
    """
    for field in _leading_to_enums(message.DESCRIPTOR):
        name, value = field.name, getattr(message, field.name)
        if field.enum_type is not None:
            if value not in field.enum_type.values_by_number:
                return f"{name} is {value}, which the schema does not define"
        elif not isinstance(value, Message):
            for index, inner in enumerate(value):
                if problem := undefined_enum(inner):
                    return f"{name}[{index}].{problem}"
        elif message.HasField(name) and (problem := undefined_enum(value)):
            return f"{name}.{problem}"
    return ""


@cache
def _leading_to_enums(descriptor: Descriptor, around: tuple[str, ...] = ()) -> tuple[FieldDescriptor, ...]:
    """Return a message's fields that are enums, or messages with an enum somewhere inside, by their numbers."""
    if descriptor.name == _CHECKED_ALONE and around:
        return ()
    around = (*around, descriptor.full_name)
    found = [
        field
        for field in descriptor.fields
        if field.enum_type is not None
        or (
            field.message_type is not None
            and field.message_type.full_name not in around
            and _leading_to_enums(field.message_type, around)
        )
    ]
    return tuple(sorted(found, key=lambda field: field.number))
