"""Which service gets a request: priorities of routing rules, and services that would get none."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from orderops.config.loader import Mistake
from orderops.config.service import ServiceConfig, covers_all
from orderops.frozen import Frozen


class Routing(Frozen):
    """The routing rules of services that get requests, by their keys in the order of the file."""

    services: Mapping[str, ServiceConfig]

    def priority(self, service: str) -> int:
        """The priority of a service's rule."""
        given = self.services[service].priority
        return given if given is not None else 100 * (list(self.services).index(service) + 1)

    def test_priority(self, service: str) -> int:
        """The priority of the rule for requests to a release that is tested: before the service's own rule."""
        taken = {self.priority(name) for name in self.services}
        for name in sorted(self._with_second_group(), key=self.priority):
            number = self.priority(name) - 1
            while number in taken:
                number -= 1
            taken.add(number)
            if name == service:
                return number
        raise KeyError(service)

    def before_all(self, count: int) -> list[int]:
        """Priorities before those of all services and of their tests; below 1 where none is left."""
        tests = [self.test_priority(service) for service in self._with_second_group()]
        first = min([*tests, *(self.priority(service) for service in self.services)])
        return [first - number for number in range(1, count + 1)]

    def no_priorities(self, redirected: Collection[tuple[str, ...]]) -> Iterator[Mistake]:
        """Further names whose redirects find no priority before those of all services."""
        if redirected and self.services and min(self.before_all(len(redirected))) < 1:
            rule = "are redirected by rules before those of all services, which leave no priority: set theirs higher"
            among = tuple(("services", name, "priority") for name in self.services)
            yield Mistake(("domain", "names"), [name for names in redirected for name in names], rule, among)

    def mistakes(self) -> Iterator[Mistake]:
        """Services with the same priority or path, and services that get no request because of an earlier rule."""
        order = sorted(self.services, key=self.priority)
        for index, service in enumerate(order):
            # The load balancer evaluates the lowest priority first, so only earlier services can take requests.
            for earlier in order[:index]:
                yield from self._conflicts_between(service, earlier)
        for service in self._with_second_group():
            yield from self._second_group_mistakes(service)

    def unknown_hosts(self, names: Collection[str]) -> Iterator[Mistake]:
        """Names of services that are none of the environment's."""
        for service, declared in self.services.items():
            for index, host in enumerate(declared.hosts):
                if host not in names:
                    way = "add it to names" if names else "declare it as name"
                    rule = f"is no name of the environment: {way} under [domain]"
                    yield Mistake(("services", service, "hosts", index), host, rule, (("domain",),))

    def _with_second_group(self) -> list[str]:
        return [name for name, declared in self.services.items() if declared.strategy != "rolling"]

    def _second_group_mistakes(self, service: str) -> Iterator[Mistake]:
        key, strategy = ("services", service), self.services[service].strategy
        if self.test_priority(service) < 1:
            rule = f"leaves no free priority before it for the rule that tests a release; set it higher, for {strategy}"
            yield Mistake((*key, "priority"), self.priority(service), rule, ((*key, "strategy"),))
        if (other := f"{service}-alt") in self.services:
            rule = f"gives {service} a second target group of the name that the service {other} has"
            yield Mistake((*key, "strategy"), strategy, rule, (("services", other),))

    def _other_priority(self, service: str, earlier: str) -> str:
        """What to set so that a service comes before the one that takes its requests."""
        taken = {self.priority(name) for name in self.services}
        free = [number for number in range(1, self.priority(earlier)) if number not in taken]
        if free:
            return f"set priority = {free[-1]} under [services.{service}]"
        return f"set priority = {max(taken) + 1} under [services.{earlier}]"

    def _conflicts_between(self, service: str, earlier: str) -> Iterator[Mistake]:
        paths, earlier_paths = self.services[service].paths, self.services[earlier].paths
        key, other = ("services", service), ("services", earlier)
        if self.priority(earlier) == self.priority(service):
            rule = f"is also the priority of {earlier}; must be 1 to 50000, different for each service"
            yield Mistake((*key, "priority"), self.priority(service), rule, ((*other, "priority"),))
        hosts, earlier_hosts = (set(self.services[name].hosts) for name in (service, earlier))
        if earlier_hosts and not (hosts and hosts <= earlier_hosts):
            # Under another name at least, the later one gets its requests.
            return
        if shared := [pattern for pattern in paths if pattern in earlier_paths]:
            rule = f"is also a path of {earlier}"
            yield Mistake((*key, "paths", paths.index(shared[0])), shared[0], rule, ((*other, "paths"),))
        elif covers_all(earlier_paths, paths):
            rule = (
                f"{earlier} gets all of these requests first, at priority {self.priority(earlier)}; "
                f"{self._other_priority(service, earlier)}"
            )
            among = ((*other, "paths"), (*other, "priority"), (*key, "priority"))
            yield Mistake((*key, "paths"), paths, rule, among)
