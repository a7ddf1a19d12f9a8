"""From YAML files to a checked `Study`: reading, laying over each other, and every problem found as one line."""

from collections.abc import Callable
from pathlib import Path

from chord.errors import UserError
from chord.study.problems import Layer, Problems, line, unknown, validate
from chord.study.reading import merge, read_yaml
from chord.study.settings import BASE, MethodFile, MethodOverride, StudyFile
from chord.study.study import Method, Study, in_order
from chord.training.pretrain_spec import PretrainSpec
from chord.training.spec import HybridStage, SftStage

STAGES = {"sft": SftStage, "hybrid": HybridStage}


def load_study(name_or_path: str | Path, root: str | Path = ".") -> Study:
    """The study of this name (config/studies/<name>.yaml under `root`) or in this file. Raises UserError, one line a problem."""
    loader = _Loader(Path(root))
    try:
        study = loader.study(str(name_or_path))
    except Problems as problems:
        loader.lines += problems.lines
    if loader.lines:
        # A fault in the shared defaults shows up once for each method: say it once.
        raise UserError("\n".join(dict.fromkeys(loader.lines)))
    return study


class _Loader:
    """Collects problems over all files, so that one look at the message is enough to mend them all."""

    def __init__(self, root: Path):
        self.root = root
        self.lines: list[str] = []

    def study(self, name_or_path: str) -> Study:
        path = self._study_path(name_or_path)
        shown = self._shown(path)
        values = self._read(path, shown)
        settings = validate(StudyFile, values, [Layer(shown, values)])
        methods = self._methods(settings, shown)
        for name, comparison in settings.comparisons.items():
            for key in ("methods", "references"):
                known = list(settings.methods) if key == "methods" else comparison.methods
                for method in getattr(comparison, key):
                    if method not in known:
                        whose = "method of this study" if key == "methods" else "method of this comparison"
                        self._say(shown, ("comparisons", name, key), unknown(whose, method, known))
        return Study(
            name=path.name.removesuffix(".yaml"),
            root=self.root,
            settings=settings,
            methods=methods,
            pretrain=self._pretrain(settings, shown),
        )

    def _study_path(self, name_or_path: str) -> Path:
        if name_or_path.endswith((".yaml", ".yml")) or "/" in name_or_path:
            return Path(name_or_path)
        return self._named("studies", name_or_path, lambda message: Problems([message]))

    def _named(self, folder: str, name: str, problem: Callable[[str], Exception]) -> Path:
        """The file of a study, method or benchmark; `problem` makes the exception if there is none of this name."""
        path = self.root / "config" / folder / f"{name}.yaml"
        if not path.is_file():
            known = [file.name.removesuffix(".yaml") for file in path.parent.glob("*.yaml")]
            what = {"studies": "study", "methods": "method", "benchmarks": "benchmark"}[folder]
            raise problem(unknown(what, name, known))
        return path

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)

    def _read(self, path: Path, shown: str) -> dict:
        try:
            return read_yaml(path, shown)
        except UserError as error:
            raise Problems([str(error)]) from None

    def _say(self, shown: str, place: tuple[str, ...], message: str) -> None:
        self.lines.append(line(Layer(shown, None, place), (), message))

    def _pretrain(self, settings: StudyFile, shown: str) -> PretrainSpec | None:
        if settings.base_model is None:
            return None
        return self._section(PretrainSpec, settings.base_model, ("base_model",), shown, {"seed": settings.seed})

    def _section(self, model, section: dict, place: tuple[str, ...], shown: str, derived: dict):
        """A section of the study with the values that only the study knows."""
        for key in derived:
            if key in section:
                self._say(shown, (*place, key), "is derived from the study; expected no such key here")
        try:
            return validate(model, section | derived, [Layer(shown, section, place)])
        except Problems as problems:
            self.lines += problems.lines
            return None

    def _methods(self, settings: StudyFile, shown: str) -> dict[str, Method]:
        found: dict[str, Method] = {}
        waiting = [(name, line(Layer(shown, None, ("methods",)), (), "")) for name in settings.methods]
        while waiting:
            name, asked_by = waiting.pop(0)
            if name in found:
                continue
            try:
                method = self._method(name, settings, shown, asked_by)
            except Problems as problems:
                self.lines += problems.lines
                continue
            found[name] = method
            if method.start_from != BASE:
                file = self._shown(self.root / "config" / "methods" / f"{name}.yaml")
                waiting.append((method.start_from, f"{file}: start_from: "))
        self._refuse_cycles(found)
        return {} if self.lines else in_order(list(found.values()))

    def _method(self, name: str, settings: StudyFile, shown: str, asked_by: str) -> Method:
        path = self._named("methods", name, lambda message: Problems([asked_by + message]))
        file = self._shown(path)
        values = self._read(path, file)
        below = validate(MethodFile, values, [Layer(file, values)])
        above = settings.methods.get(name, MethodOverride())
        place = ("methods", name)
        start_from = above.start_from or below.start_from
        if below.stage is None and (above.stage or start_from != BASE):
            raise Problems(
                [f"{file}: stage: missing; expected a stage, because a method without one is the base model"]
            )
        stage = None
        if below.stage is not None:
            own = merge(below.stage, above.stage)
            kind = own.get("kind")
            if kind not in STAGES:
                raise Problems([f"{file}: stage.kind: {unknown('kind', kind, STAGES)}"])
            defaults = getattr(settings.training, kind)
            layers = [
                Layer(shown, defaults, ("training", kind)),
                Layer(file, below.stage, ("stage",)),
                Layer(shown, above.stage, (*place, "stage")),
            ]
            stage = validate(STAGES[kind], merge(defaults, own), [layer for layer in layers if layer.value])
        return Method(name, above.title or below.title, below.paper, start_from, stage)

    def _refuse_cycles(self, methods: dict[str, Method]) -> None:
        reported: set[str] = set()
        for name in methods:
            chain = [name]
            while (start := methods[chain[-1]].start_from) in methods and start not in chain:
                chain.append(start)
            if start == chain[0] and not reported & set(chain):
                reported |= set(chain)
                file = self._shown(self.root / "config" / "methods" / f"{name}.yaml")
                circle = " -> ".join([*chain, start])
                self.lines.append(f"{file}: start_from: {circle} is a circle; expected a chain that ends at {BASE}")
