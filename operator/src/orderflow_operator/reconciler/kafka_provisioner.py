"""What a flow wants of a Kafka without Strimzi, and what is left there when it goes. The reconcile calls it.

Nothing there is changed or deleted that is not marked as the flow's (`marks.py`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from orderflow_model.flow import DeletionPolicy, OrderFlow
from orderflow_model.lint.secrets import ADDRESSES_KEY
from orderflow_model.names import DEAD_LETTERS, autoscaler_user_name, dead_letter_topic_name, object_name
from orderflow_model.spec.kafka import Provisioner
from orderflow_model.status import FlowStatus, KafkaStatus, Truth
from orderflow_model.topic_changes import Ours
from orderflow_model.topics import flow_topics
from orderflow_operator.kafka.acls import Acl, autoscaler_acls, autoscaler_user, service_acls, service_user
from orderflow_operator.kafka.admin import Found, KafkaAdmin, Provisioned, User
from orderflow_operator.kafka.client import Login
from orderflow_operator.kafka.connection import KafkaConnection, kafka_connection
from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.errors import (
    FlowError,
    KafkaMovedError,
    KafkaSecretMissingError,
    KafkaUnavailableError,
    LoginNotForAddressError,
    SecretNotUsableError,
    UsersTakenAwayError,
    UserTakenError,
)
from orderflow_operator.kubernetes.objects import ObjectClient
from orderflow_operator.reconciler.credentials import Credentials
from orderflow_operator.reconciler.losses import Losses
from orderflow_operator.reconciler.marks import Mark, Marks, kafka_of, marks_name, other_kafkas
from orderflow_operator.resources.build_context import BuildContext
from orderflow_operator.resources.desired import by_lag


def needs_admin(flow: OrderFlow) -> bool:
    """Return whether topics and users are ours to make, outside of Kubernetes."""
    return flow.spec.kafka.provisioner is Provisioner.ADMIN


@dataclass(frozen=True)
class _Identity:
    """A user that the flow wants: the objects it belongs to, what it may do, whose it is; None is the autoscaler."""

    owner: str
    rules: tuple[Acl, ...]
    service: str | None

    def is_old_too(self, under_way: frozenset[str]) -> bool:
        """Return whether pods of an older version may use it."""
        return bool(under_way) if self.service is None else self.service in under_way


@dataclass(frozen=True)
class _View:
    """What one look at a Kafka found: how it was reached, what is there, what is marked there and elsewhere.

    `written`: the marks as they stand beside the flow; None where none were ever written.
    """

    login: Login
    found: Found
    kafka: str
    marks: dict[str, Mark]
    written: dict[str, Mark] | None

    @property
    def mark(self) -> Mark:
        """What is the flow's there."""
        return self.marks.get(self.kafka, Mark())


def drops_data(flow: OrderFlow) -> bool:
    """Return whether events and data of the flow go with it."""
    return flow.spec.deletion_policy is DeletionPolicy.DELETE


class Provisioning:
    """Brings together the flow, its Secrets, its marks and the admin API."""

    def __init__(
        self, cluster: ObjectClient, credentials: Credentials, kafka: KafkaAdmin, now: Callable[[], float]
    ) -> None:
        self._cluster = cluster
        self._credentials = credentials
        self._kafka = kafka
        self._marks = Marks(cluster)
        self._losses = Losses(now)

    async def provision(
        self, key: FlowKey, flow: OrderFlow, context: BuildContext, before: FlowStatus, under_way: frozenset[str]
    ) -> Provisioned:
        """Make topics and users as the flow wants them; nothing to do where Strimzi makes them.

        `under_way` names services of which pods of an older version may run: nothing that these use is taken away.
        """
        if not needs_admin(flow):
            return Provisioned()
        try:
            connection = kafka_connection(flow)
            identities = _identities(flow, context, connection)
            login = await self._login(key, flow, connection)
            view = await self._observe(key, flow, login, identities, before)
            return await self._make(key, flow, before, view, identities, under_way)
        except SecretNotUsableError:  # told with the database's, whose check is the same
            return Provisioned(ours=before.ours())
        except FlowError as problem:
            return Provisioned(ours=before.ours(), problems=[problem])

    async def check_place(self, key: FlowKey, flow: OrderFlow, before: FlowStatus) -> None:
        """Make sure that an edit moves the flow to no other Kafka while it has something at one; raise `FlowError`.

        Kafka is asked only where another address is named than what is there was found by.
        """
        connection = kafka_connection(flow)
        if not needs_admin(flow) or _is_at(connection, flow, before):
            return
        if not any((await self._marks.of(key, before) or {}).values()):
            return
        login = await self._login(key, flow, connection)
        view = await self._observe(key, flow, login, {}, before)
        others = other_kafkas(view.marks, view.kafka)
        if view.mark.topics and not view.mark.holding(view.found):
            others.append(view.kafka)  # Kafkas made by one recipe share an id
        if others:
            raise KafkaMovedError(key, marks_name(key), login.bootstrap, view.kafka, others)

    async def remove(self, key: FlowKey, flow: OrderFlow, before: FlowStatus) -> None:
        """Remove the flow's users, and its topics and groups if it says so; raise `FlowError`."""
        marks = await self._marks.of(key, before)
        if not (_former(flow, before) if marks is None else marks):
            return
        login = await self._login(key, flow, kafka_connection(flow))
        await self.check_place(key, flow, before)
        view = await self._observe(key, flow, login, {}, before)
        gone = drops_data(flow)
        topics = {*view.mark.holding(view.found), *view.mark.making} if gone else set()  # a broker may not know all yet
        if used := await self._kafka.remove_groups(view.login, _groups(flow, topics)):
            raise KafkaUnavailableError(view.login.bootstrap, f"groups {', '.join(sorted(used))} have members yet")
        await self._kafka.remove(view.login, topics, view.mark.users)
        left = view.mark.without([*view.mark.topics, *view.mark.making] if gone else [], view.mark.users)
        await self._marks.write(key, flow, view.marks | {view.kafka: left})

    def forget(self, key: FlowKey) -> None:
        """Let go of what is remembered of a flow that has nothing at its Kafka any more."""
        self._losses.forget(key)

    async def _observe(
        self, key: FlowKey, flow: OrderFlow, login: Login, identities: Mapping[str, _Identity], before: FlowStatus
    ) -> _View:
        """Find out which Kafka it is, and what there is the flow's; raise `FlowError`."""
        written = await self._marks.of(key, before)
        former = _former(flow, before) if written is None else Mark()
        known = [former, *(written or {}).values()]
        topics = {topic.name for topic in flow_topics(flow)}.union(*((*one.topics, *one.making) for one in known))
        users = {*identities}.union(*(one.users for one in known)) if login.mechanism else set()
        found = await self._kafka.observe(login, topics, users)
        kafka = kafka_of(found, login)
        marks = written or {}
        if written is None:
            topics_then = {name: found.topics[name] for name in former.making if name in found.topics}
            users_then = tuple(user for user in former.users if user in found.users)
            marks = {kafka: Mark(topics_then, (), users_then)}
        return _View(login, found, kafka, marks, written)

    async def _make(
        self,
        key: FlowKey,
        flow: OrderFlow,
        before: FlowStatus,
        view: _View,
        identities: Mapping[str, _Identity],
        under_way: frozenset[str],
    ) -> Provisioned:
        topics = {topic.name for topic in flow_topics(flow)}
        mine = view.mark.holding(view.found)
        marked = await self._note(key, flow, view, view.mark.claiming(view.found, topics, identities))
        foreign = (topics & view.found.topics.keys()) - mine.keys()
        granted = foreign & await self._marks.granted(key) if foreign else frozenset()
        mark, begun = marked.mark, topics & set(view.mark.making)
        stale = set() if under_way else set(mark.users) - identities.keys()
        dropped = mine.keys() - topics if drops_data(flow) and not under_way else set()
        used = await self._kafka.remove_groups(view.login, _groups(flow, dropped))
        dropped -= {f"{group}{DEAD_LETTERS}" for group in used}  # they tell whose the group is
        if stale or dropped:
            await self._kafka.remove(view.login, dropped, stale)
        if autoscaler_user(flow) in stale:
            await self._credentials.remove(key, autoscaler_user_name(flow.metadata.name))
        taken = [user for user in identities if user in view.found.users and user not in view.mark.users]
        free = {user: one for user, one in identities.items() if user not in taken}
        users = await self._users(key, flow, free, under_way)
        ours = _ours(before, {*mine, *(mark.topics.keys() & topics), *begun}, frozenset(granted))
        done = await self._kafka.provision(view.login, flow_topics(flow), users if view.login.mechanism else [], ours)
        sought = done.created | (done.unseen & begun)  # a broker may know them after some turns only
        made = (await self._kafka.observe(view.login, sought, [])).topics if sought else {}
        unanswered = (topics - done.topics.keys()) | (sought - made.keys())
        noted = await self._note(key, flow, marked, mark.settled(made, unanswered).without(dropped, stale))
        if noted.mark:  # marks that say nothing may go with a flow of that name that is gone
            done.kafka = KafkaStatus(id=view.kafka, address=kafka_connection(flow).address)
        done.problems += [UserTakenError(user) for user in taken]
        if lost := self._losses.note(key, identities.keys() & view.mark.users, view.found.users):
            done.problems.append(UsersTakenAwayError(lost))
        return done

    async def _note(self, key: FlowKey, flow: OrderFlow, view: _View, mark: Mark) -> _View:
        """Write the mark if it is another than before."""
        marks = {kafka: one for kafka, one in (view.marks | {view.kafka: mark}).items() if one}
        if marks != view.written:
            await self._marks.write(key, flow, marks)
        return replace(view, marks=marks, written=marks)

    async def _login(self, key: FlowKey, flow: OrderFlow, connection: KafkaConnection) -> Login:
        await self._credentials.check_named(key, flow, "spec.kafka")
        authentication = flow.spec.kafka.authentication
        login = Login(connection.bootstrap, connection.protocol)
        if connection.authority:
            values = await self._values(key, connection.authority.secret, connection.authority.key)
            login = replace(login, authority=values[connection.authority.key])
        if connection.mechanism and authentication and authentication.secret_key_ref:
            reference = authentication.secret_key_ref
            values = await self._values(key, reference.name, reference.key)
            _check_goes_to(key, flow.spec.kafka.bootstrap_servers, reference.name, values.get(ADDRESSES_KEY, ""))
            password, user = values[reference.key].strip(), authentication.username or ""
            login = replace(login, mechanism=connection.mechanism, username=user, password=password)
        return login

    async def _values(self, key: FlowKey, name: str, item: str) -> dict[str, str]:
        values = await self._cluster.secret(key.namespace, name) or {}
        if item not in values:
            raise KafkaSecretMissingError(name, item)
        return values

    async def _users(
        self, key: FlowKey, flow: OrderFlow, identities: Mapping[str, _Identity], under_way: frozenset[str]
    ) -> list[User]:
        passwords = await self._credentials.kafka_passwords(key, flow, [one.owner for one in identities.values()])
        return [
            User(name, passwords[one.owner], one.rules, keeps=one.is_old_too(under_way))
            for name, one in identities.items()
        ]


def _is_at(connection: KafkaConnection, flow: OrderFlow, before: FlowStatus) -> bool:
    """Return whether what the flow has was found where it says; no status tells of that unless it was edited since."""
    if before.kafka is None:
        return before.observed_generation == flow.metadata.generation
    return before.kafka.address == connection.address


def _check_goes_to(key: FlowKey, servers: Collection[str], name: str, allowed: str) -> None:
    """Raise `LoginNotForAddressError` unless the login's owner lists all brokers: who answers may pass a login on."""
    listed = {one.lower() for one in allowed.replace(",", " ").split()}
    if not {one.lower() for one in servers} <= listed:
        raise LoginNotForAddressError(key, name, ADDRESSES_KEY, servers)


def _groups(flow: OrderFlow, topics: Iterable[str]) -> list[str]:
    """Return the flow's consumer groups whose dead letters are among the topics, which events may be called alike."""
    mine = f"{flow.metadata.name}."
    return [name.removesuffix(DEAD_LETTERS) for name in topics if name.startswith(mine) and name.endswith(DEAD_LETTERS)]


def _identities(flow: OrderFlow, context: BuildContext, connection: KafkaConnection) -> dict[str, _Identity]:
    """Return the users that the flow wants, by name; none where Kafka asks nobody who they are."""
    if connection.mechanism is None:
        return {}
    name = flow.metadata.name
    found = {
        service_user(flow, one.name): _Identity(object_name(name, one.name), service_acls(flow, one), one.name)
        for one in flow.services
        if one.uses_kafka
    }
    if scaled := by_lag(flow, context):
        found[autoscaler_user(flow)] = _Identity(autoscaler_user_name(name), autoscaler_acls(flow, scaled), None)
    return found


def _ours(before: FlowStatus, mine: set[str], granted: frozenset[str]) -> dict[str, Ours]:
    """Return what of each topic that we may change is ours; of what was only granted, no more than we set."""
    known = before.ours()
    made = {name: Ours(True, known[name].settings if name in known else frozenset()) for name in mine}
    lent = {name: Ours(False, known[name].settings if name in known else frozenset()) for name in granted}
    return made | lent


def _former(flow: OrderFlow, before: FlowStatus) -> Mark:
    """Return what an operator that wrote no marks had made, by the status it left: topics, and users by older names.

    Only what it has seen at Kafka counts: a flow that never got so far has nothing there.
    """
    name = flow.metadata.name
    made = {topic for topic, ours in before.ours().items() if ours.made}
    if not before.topics and (made := {event.topic for event in before.events if event.ready is Truth.TRUE}):
        made |= {dead_letter_topic_name(name, one.name) for one in before.services}
    users = [*(object_name(name, one.name) for one in before.services), autoscaler_user_name(name)]
    return Mark({}, tuple(sorted(made)), tuple(users) if made else ())
