"""Several things can be wrong with one query; the one that stands highest in `CODES` is told. Pure."""

from exchange.errors import Problem, first


class Faults:
    """Collects problems, so that the order in which a query is read does not decide which is told."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def add(self, code: str, detail: str = "", hint: str = "") -> None:
        self._found.append(Problem(code, detail, hint))

    def __bool__(self) -> bool:
        return bool(self._found)

    def settle(self) -> None:
        """Raises the problem that takes precedence, the first of its code, if there is one."""
        if self._found:
            code = first([problem.code for problem in self._found])
            raise next(problem for problem in self._found if problem.code == code)
