"""`chord <a JSON list>` as one of several ranks whose gradients forget: each pass drops what earlier ones left."""

import json
import sys

from transformers import Trainer

from chord.cli import main

prepare = Trainer._prepare_for_training


def prepare_forgetful(self, *arguments):
    found = prepare(self, *arguments)
    model = self.model_wrapped

    def forget(*_) -> None:
        for parameter in model.parameters():
            parameter.grad = None

    model.register_forward_pre_hook(forget)
    return found


if __name__ == "__main__":
    Trainer._prepare_for_training = prepare_forgetful
    raise SystemExit(main(json.loads(sys.argv[1])))
