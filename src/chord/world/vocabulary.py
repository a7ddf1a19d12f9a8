"""The words of the world and its skills: one token each. No transformers here: a plan counts them."""

from chord.world import problems, skills, solutions

PAD, BOS, EOS, UNK, SYSTEM, USER, ASSISTANT = "<pad>", "<bos>", "<eos>", "<unk>", "<system>", "<user>", "<assistant>"


def words() -> list[str]:
    """Every word of the world and its skills, in a fixed order (a word's place is its token id)."""
    grammar = "has plus minus find and ? . , answer gives ok option largest odd of is next".split()
    digits = [str(digit) for digit in range(problems.MODULUS)]
    return [
        PAD,
        BOS,
        EOS,
        UNK,
        SYSTEM,
        USER,
        ASSISTANT,
        *digits,
        *grammar,
        *solutions.MARKERS,
        *problems.NAMES,
        *skills.COLOURS,
    ]
