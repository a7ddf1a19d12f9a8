"""The world's tokenizer: one token a word, in the standard fast format, so that transformers and vLLM read it.

Decoding joins words by single spaces, which is how all texts of the world are written: decode(encode(text)) == text.
Transformers is imported only where a tokenizer is built: a plan counts the words.
"""

from typing import TYPE_CHECKING

from chord.world import problems, skills, solutions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS, UNK, SYSTEM, USER, ASSISTANT = "<pad>", "<bos>", "<eos>", "<unk>", "<system>", "<user>", "<assistant>"
# prompt + response + end token is the rendered conversation, character by character.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<' + message['role'] + '>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


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


def build_tokenizer(max_tokens: int) -> "PreTrainedTokenizerFast":
    """max_tokens: longest prompt with response that the model takes."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words())}, unk_token=UNK))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        model_max_length=max_tokens,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    # transformers 5 takes Qwen2's byte-level BPE for every folder with a Qwen2 model, whatever its
    # tokenizer_config.json says, and our words would be lost without a message. A folder with an `auto_map` (code of
    # its own) is exempt: while such code is not trusted, which is the default, the tokenizer_class beside it counts.
    tokenizer.init_kwargs["auto_map"] = {"AutoTokenizer": [None, "transformers.PreTrainedTokenizerFast"]}
    return tokenizer
