"""What the user of a call with a speech-to-speech model said and nobody has answered."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from jackfield.dialogue.call.exchanges import Question
from jackfield.dialogue.call.saying import loop_time_s


class OpenQuestions:
    """Questions without an answer, and those without words."""

    def __init__(self) -> None:
        self.awaited = False
        """Whether the model owes an answer."""
        self.began_s = 0.0
        """When the user had finished."""
        self._unwritten: deque[Question] = deque()
        """What a session heard and has not written down yet."""
        self._unheard: list[Question] = []
        """What was said while there was no session."""
        self._unanswered: list[Question] = []

    @property
    def open(self) -> bool:
        """Whether there is a question that an answer may be given to."""
        return self.awaited or bool(self._unanswered)

    @property
    def unheard(self) -> bool:
        """Whether something was said while there was no session."""
        return bool(self._unheard)

    @property
    def text(self) -> str:
        """The words of all that is not answered, as far as they are known."""
        return "\n".join(question.text for question in self._unanswered if question.text)

    def typed(self, text: str) -> None:
        """The user wrote something."""
        question = Question("text")
        question.is_heard_as(text)
        self._await(question)

    def spoken(self, *, heard: bool) -> None:
        """The user said something; some time its words will come. `heard` says whether there is a session."""
        question = Question("voice")
        (self._unwritten if heard else self._unheard).append(question)
        self._await(question)

    def written(self, text: str) -> None:
        """The oldest of what was said is written down."""
        if self._unwritten:
            self._unwritten.popleft().is_heard_as(text)

    def hear(self) -> None:
        """A session hears what none heard, and will write it down as one."""
        self._unwritten.extend(self._unheard[-1:])
        del self._unheard[-1:]
        self.never_heard()

    def never_heard(self) -> None:
        """What no session heard is lost."""
        while self._unheard:
            self._unheard.pop().is_heard_as("")

    def never_written(self) -> None:
        """What a session heard and did not write down is lost."""
        while self._unwritten:
            self.written("")

    def take(self) -> list[Question]:
        """All that an answer which begins now answers."""
        questions, self._unanswered = self._unanswered, []
        self.awaited = False
        return questions

    def reopen(self, questions: Sequence[Question]) -> None:
        """Nothing was heard of an answer to these, which were asked before all others."""
        self._unanswered[:0] = questions

    def forget(self) -> None:
        """The user wants no answer any more."""
        self._unanswered.clear()
        self.awaited = False

    def _await(self, question: Question) -> None:
        self._unanswered.append(question)
        self.awaited = True
        self.began_s = loop_time_s()
