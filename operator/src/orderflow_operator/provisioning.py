"""What a flow wants of a Kafka without Strimzi, and what is left there when it goes. The reconcile calls it."""

from dataclasses import replace

from orderflow_model.flow import DeletionPolicy, OrderFlow
from orderflow_model.kafka import Provisioner
from orderflow_model.names import dead_letter_topic_name
from orderflow_model.topics import flow_topics
from orderflow_operator.access import autoscaler_access, autoscaler_user, service_access, service_user
from orderflow_operator.broker import broker
from orderflow_operator.cluster import Cluster
from orderflow_operator.credentials import Credentials
from orderflow_operator.desired import by_lag
from orderflow_operator.errors import FlowError, KafkaSecretMissingError, SecretNotUsableError
from orderflow_operator.flow_status import FlowStatus
from orderflow_operator.kafka_admin import KafkaAdmin, Provisioned, User
from orderflow_operator.kafka_client import Login
from orderflow_operator.store import FlowKey
from orderflow_operator.surroundings import Surroundings


def needs_admin(flow: OrderFlow) -> bool:
    """Tell whether topics and users are ours to make, outside of Kubernetes."""
    return flow.spec.kafka.provisioner is Provisioner.ADMIN


class Provisioning:
    """Brings together the flow, its Secrets and the admin API."""

    def __init__(self, cluster: Cluster, credentials: Credentials, kafka: KafkaAdmin) -> None:
        self._cluster = cluster
        self._credentials = credentials
        self._kafka = kafka

    async def provision(self, key: FlowKey, flow: OrderFlow, around: Surroundings, before: FlowStatus) -> Provisioned:
        """Make topics and users as the flow wants them; nothing to do where Strimzi makes them.

        `before` tells which topics it wanted the last time: nothing else remembers them.
        """
        if not needs_admin(flow):
            return Provisioned()
        try:
            await self._credentials.check_named(key, flow)
        except SecretNotUsableError:  # told with the database's, whose check is the same
            return Provisioned(ours=before.ours())
        try:
            login = await self._login(key, flow)
            users = await self._users(key, flow, around) if login.mechanism else []
            if dropped := _dropped_topics(flow, before):
                await self._kafka.remove(login, dropped, [])
        except FlowError as problem:
            return Provisioned(ours=before.ours(), problems=[problem])
        return await self._kafka.provision(login, flow_topics(flow), users, before.ours())

    async def retire(self, flow: OrderFlow, key: FlowKey, owner: str) -> None:
        """Take user and Secrets of a service that is no more; `owner` is the name of its objects. Raise FlowError."""
        if needs_admin(flow):
            await self._kafka.remove(await self._login(key, flow), [], [owner])
        await self._credentials.remove(key, owner)

    async def remove(self, key: FlowKey, flow: OrderFlow) -> None:
        """Remove the flow's users, and its topics if it says so; raise FlowError."""
        login = await self._login(key, flow)
        gone = flow.spec.deletion_policy is DeletionPolicy.DELETE
        topics = [topic.name for topic in flow_topics(flow)] if gone else []
        users = [service_user(flow, service.name) for service in flow.spec.services]
        await self._kafka.remove(login, topics, [*users, autoscaler_user(flow)])

    async def _login(self, key: FlowKey, flow: OrderFlow) -> Login:
        reach, authentication = broker(flow), flow.spec.kafka.authentication
        login = Login(reach.bootstrap, reach.protocol)
        if reach.authority:
            authority = await self._value(key, reach.authority.secret, reach.authority.key)
            login = replace(login, authority=authority)
        if reach.mechanism and authentication and authentication.secret_key_ref:
            reference = authentication.secret_key_ref
            password = (await self._value(key, reference.name, reference.key)).strip()
            user = authentication.username or ""
            login = replace(login, mechanism=reach.mechanism, username=user, password=password)
        return login

    async def _value(self, key: FlowKey, name: str, item: str) -> str:
        values = await self._cluster.secret(key.namespace, name) or {}
        if item not in values:
            raise KafkaSecretMissingError(name, item)
        return values[item]

    async def _users(self, key: FlowKey, flow: OrderFlow, around: Surroundings) -> list[User]:
        rules = {service_user(flow, one.name): service_access(flow, one) for one in flow.spec.services}
        if scaled := by_lag(flow, around):
            rules[autoscaler_user(flow)] = autoscaler_access(flow, scaled)
        passwords = await self._credentials.kafka_passwords(key, flow, rules)
        return [User(name, passwords[name], access) for name, access in rules.items()]


def _dropped_topics(flow: OrderFlow, before: FlowStatus) -> list[str]:
    if flow.spec.deletion_policy is DeletionPolicy.RETAIN:
        return []
    had = {event.topic for event in before.events}
    had |= {dead_letter_topic_name(flow.metadata.name, service.name) for service in before.services}
    return sorted(had - {topic.name for topic in flow_topics(flow)})
