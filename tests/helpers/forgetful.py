"""`chord train` as one of several ranks whose gradients forget: each pass drops what earlier ones left."""

from transformers import Trainer

from tests.helpers.run_worker import call_chord

prepare = Trainer._prepare_for_training


def prepare_forgetful(self, *arguments):
    found = prepare(self, *arguments)
    model = self.model_wrapped

    def forget(*_) -> None:
        for parameter in model.parameters():
            parameter.grad = None

    model.register_forward_pre_hook(forget)
    return found


def call_forgetful(*arguments: str) -> None:
    Trainer._prepare_for_training = prepare_forgetful
    call_chord(*arguments)
