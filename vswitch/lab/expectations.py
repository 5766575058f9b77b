"""Whether the expectations of a topology hold in its running lab, shown with real frames.

 reach: true, tcp/80     at least one address of every `to` answers every `from`
 reach: false            no address answers, and no marked frame of `from` is ever seen at `to`
 isolated                the same, both ways
 no_shared_contact       no machine, switch or network in common, and no marked frame seen, both ways
 only_via: [a, [b, c]]   no marked frame seen; what does answer stops when a (or both b and c) stops forwarding

Whoever must not be heard must be shown to have spoken: a negative whose sender nobody saw and no counter noted does
not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vswitch.lab.endpoints import Nic, all_nics, nics_of
from vswitch.lab.lab import Lab
from vswitch.lab.rounds import Attempt, Round, Watchers, watching
from vswitch.lab.via import Gate
from vswitch.topology.model import Expectation, Topology


@dataclass(frozen=True)
class Result:
    expectation: Expectation
    held: bool
    evidence: str


def check(lab: Lab, topology: Topology, on_result: Callable[[Result], None] = lambda result: None) -> list[Result]:
    """Every expectation of `topology`, in the file's order; `on_result` hears of each as soon as it is known."""
    protocols = _protocols(topology)
    results = []
    with watching(lab, all_nics(topology), protocols) as watchers:
        first = Round()
        watchers.send_frames(first)
        watchers.try_attempts({attempt for expectation in topology.expectations
                               for attempt in attempts_of(topology, expectation, protocols)}, first)
        judge = Judge(topology, protocols, watchers, first)
        for expectation in topology.expectations:
            results.append(Result(expectation, *judge.judge(expectation)))
            on_result(results[-1])
    return results


def _protocols(topology: Topology) -> list[str]:
    """Everything that the file speaks of is tried on everybody: what is open for one may be open for all."""
    named = {expectation.reach for expectation in topology.expectations if isinstance(expectation.reach, str)}
    return sorted({"icmp", "tcp/80", "udp/53", *named})


def attempts_of(topology: Topology, expectation: Expectation, protocols: Iterable[str]) -> set[Attempt]:
    """Each protocol, from each machine of `from` to each address of `to`; back as well where both ways count."""
    both = expectation.isolated or expectation.no_shared_contact
    pairs = _pairs(topology, expectation)
    found = {_attempt(source, target, address, protocol)
             for source, target in pairs for address in target.addresses for protocol in protocols}
    if both:
        found |= {_attempt(target, source, address, protocol)
                  for source, target in pairs for address in source.addresses for protocol in protocols}
    return found


def _attempt(source: Nic, target: Nic, address: str, protocol: str) -> Attempt:
    return Attempt(source.machine, source.name if source.alone else "", target.machine, address, protocol)


def _pairs(topology: Topology, expectation: Expectation) -> list[tuple[Nic, Nic]]:
    """(from, to) of different machines; the guests that traffic must pass are neither."""
    passed = {guest for item in expectation.only_via for guest in ([item] if isinstance(item, str) else item)}
    return [(source, target)
            for source in nics_of(topology, expectation.source) for target in nics_of(topology, expectation.destination)
            if source.machine != target.machine and not {source.machine, target.machine} & passed]


class Judge:
    """Reads expectations from the first round, and makes further rounds for `only_via`."""

    def __init__(self, topology: Topology, protocols: list[str], watchers: Watchers, first: Round) -> None:
        self._topology = topology
        self._protocols = protocols
        self._watchers = watchers
        self._first = first

    def judge(self, expectation: Expectation) -> tuple[bool, str]:
        pairs = _pairs(self._topology, expectation)
        if not pairs:
            return False, "`from` and `to` are the same machine, or nobody"
        if expectation.only_via:
            return self._only_via(expectation, pairs)
        if expectation.no_shared_contact:
            shared = self._shared(expectation)
            if shared:
                return False, f"both have {shared}"
        if expectation.no_shared_contact or expectation.isolated:
            return self._silent(expectation, pairs + [(target, source) for source, target in pairs])
        if expectation.reach is False:
            return self._silent(expectation, pairs)
        return self._reaches(expectation, pairs)

    def _reaches(self, expectation: Expectation, pairs: list[tuple[Nic, Nic]]) -> tuple[bool, str]:
        wanted = expectation.reach
        answers = {(attempt.source, attempt.target, attempt.protocol) for attempt in self._first.answered}
        evidence = set()
        for source, target in pairs:
            heard = sorted(protocol for who, whom, protocol in answers
                           if (who, whom) == (source.machine, target.machine) and wanted in (True, protocol))
            if not heard:
                what = "anything" if wanted is True else wanted
                return False, f"{target.machine} does not answer {source.machine} to {what}"
            evidence.add(f"{target.machine} answers {heard[0]}")
        return True, _some(evidence)

    def _silent(self, expectation: Expectation, pairs: list[tuple[Nic, Nic]]) -> tuple[bool, str]:
        attempts = attempts_of(self._topology, expectation, self._protocols)
        answered = attempts & self._first.answered
        if answered:
            return False, _some(f"{attempt.target} answers {attempt.source} to {attempt.text}" for attempt in answered)
        held, evidence = self._unseen(pairs)
        return held, f"{len(attempts)} attempts unanswered; {evidence}" if held else evidence

    def _unseen(self, pairs: list[tuple[Nic, Nic]]) -> tuple[bool, str]:
        """Whether no marked frame of a pair's first was seen at its second, and all of the first did speak."""
        seen = {(sighting.sender, sighting.receiver) for sighting in self._first.sightings}
        leaks = [f"{target.machine}.{target.name} sees frames of {source.machine}.{source.name}"
                 for source, target in pairs if (source.key, target.key) in seen]
        if leaks:
            return False, _some(leaks)
        heard_elsewhere = {sender for sender, _ in seen}
        mute = {f"{source.machine}.{source.name}" for source, _ in pairs
                if source.key not in heard_elsewhere | self._first.sent}
        if mute:
            return False, f"no control: {_some(mute)} sent nothing, so silence shows nothing"
        witnesses = {receiver[0] for sender, receiver in seen if sender in {source.key for source, _ in pairs}}
        return True, "no frame seen" + (f", while {_some(witnesses)} saw them" if witnesses else "")

    def _shared(self, expectation: Expectation) -> str:
        sides = [nics_of(self._topology, word) for word in (expectation.source, expectation.destination)]
        machines, places = ([{getattr(nic, what) for nic in side} for side in sides] for what in ("machine", "place"))
        return _some((machines[0] & machines[1]) | (places[0] & places[1]))

    def _only_via(self, expectation: Expectation, pairs: list[tuple[Nic, Nic]]) -> tuple[bool, str]:
        held, evidence = self._unseen(pairs)
        if not held:
            return False, evidence
        attempts = attempts_of(self._topology, expectation, self._protocols)
        gate = Gate(self._watchers.lab, self._topology)
        items = [[item] if isinstance(item, str) else list(item) for item in expectation.only_via]
        passing = attempts & self._first.answered
        opened = [] if passing else [guest for item in items for guest in item]
        # Rules that let nothing through hide which way it would take: they are opened while we look.
        with gate.opened(opened):
            passing = passing or self._answered(attempts)
            if not passing:
                return False, f"no control: nothing passes even with the rules of {_some(opened)} open"
            for item in items:
                with gate.closed(item):
                    around = self._answered(passing, again=True)
                if around:
                    still = _some(f"{one.target} still answers {one.text}" for one in around)
                    return False, f"without {_some(item)}, {still}"
            if not self._answered(passing):
                return False, f"nothing passes any more after {_some(g for item in items for g in item)} forward again"
        how = f"with the rules of {_some(opened)} open " if opened else ""
        answers = _some({f"{one.target} answers {one.protocol}" for one in passing})
        return True, f"{how}{answers}, not without {' nor '.join(_some(item) for item in items)}"

    def _answered(self, attempts: set[Attempt], again: bool = False) -> set[Attempt]:
        result = Round()
        self._watchers.try_attempts(attempts, result, again)
        return result.answered


def _some(words: Iterable[str]) -> str:
    """The first three of them, for a line that a person reads."""
    listed = sorted(words)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
