"""Changes bytes, and trees of plain values, at random places: seeded, so that a run repeats."""

from __future__ import annotations

import copy
from typing import Any

# What tends to be forgotten: ends of ranges, values that are no numbers, text that acts.
ODD: list[Any] = [None, True, 0, -1, 1, 255, 2**31, 2**53, 2**62, 2**63 - 1, -(2**63), 2**64 - 1]
ODD += [0.0, -1.5, float("nan"), float("inf"), 1e308, 1e-320, "", "x", "../../etc", "[/b]", "\x1b["]
ODD += ["\u202e", "x" * 300, [], [1], [[]], {}, {"a": 1}, [0, 0, 1e9, 1e9], [-1], [0] * 40]


def changed_bytes(data: bytes, random: Any) -> bytes:
    """A few bytes flipped, dropped, repeated or cut off."""
    changed = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 4, 16])):
        if not changed:
            break
        place = random.randrange(len(changed))
        end = min(place + random.choice([1, 2, 4, 8, 64]), len(changed))
        match random.randrange(6):
            case 0:
                changed[place] ^= 1 << random.randrange(8)
            case 1:
                changed[place] = random.choice([0, 1, 127, 128, 255, random.randrange(256)])
            case 2:
                del changed[place:end]
            case 3:
                changed[place:place] = changed[place:end] * random.choice([1, 2, 50])
            case 4:
                changed[place:end] = random.randbytes(end - place)
            case _:
                del changed[place:]
    return bytes(changed)


def changed_tree(tree: Any, random: Any, odd: list[Any] | None = None) -> Any:
    """A copy with one to three values replaced, removed or repeated."""
    tree = copy.deepcopy(tree)
    for _ in range(random.choice([1, 1, 2, 3])):
        places = list(_places(tree, 0))
        if not places:
            return random.choice(ODD)
        holder, key = random.choice(places)
        value = holder[key]
        choice = random.random()
        if isinstance(value, bytes) and choice < 0.7:
            holder[key] = changed_bytes(value, random)
        elif isinstance(value, int | float) and not isinstance(value, bool) and choice < 0.4:
            holder[key] = value + random.choice([-1, 1, -256, 256, 0.5])
        elif choice < 0.8:
            holder[key] = copy.deepcopy(random.choice(odd or ODD))
        elif choice < 0.9:
            del holder[key]
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(value))
        else:
            holder[f"{key}x"] = copy.deepcopy(value)
    return tree


def _places(tree: Any, depth: int) -> Any:
    if depth > 8:
        return
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if type(tree) is list else ()
    for key in keys:
        yield tree, key
        yield from _places(tree[key], depth + 1)
