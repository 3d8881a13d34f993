"""`pod`: what a cluster asks of pods besides: where they run, what they carry and mount, how they are probed and end.

Names and shapes are Kubernetes' own (core/v1 PodSpec), so that what stands in a Deployment can be pasted. What is not
here is not for a flow to say: the rights of a container, its host, the token of an account, other people's volumes.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from orderflow_model.spec.base import Part, Rule, UniqueBy, exactly_one
from orderflow_model.spec.references import ConfigMapKeyRef, SecretKeyRef
from orderflow_model.spec.scalars import ObjectKey, ObjectName, Quantity
from orderflow_model.spec.scheduling import Affinity, LabelKey, LabelValue, Toleration, TopologySpreadConstraint

CA_FOLDER = "/etc/orderflow-ca"
"""Where pods find the authorities that they trust besides."""

_PLATFORM = "orderflow.dev/"
_OWN_FOLDER = "/etc/orderflow"
_OWN_LABELS = (_PLATFORM, "app.kubernetes.io/")
_DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

Labels = Annotated[
    dict[LabelKey, LabelValue],
    Field(max_length=50, description="Labels of the pods, such as a cost centre's."),
    Rule(
        cel=f"self.all(k, !k.startsWith('{_OWN_LABELS[0]}') && !k.startsWith('{_OWN_LABELS[1]}'))",
        message=f"labels that begin with {' or '.join(_OWN_LABELS)} are set by the platform",
        holds=lambda labels: not any(key.startswith(_OWN_LABELS) for key in labels),
    ),
]
Annotations = Annotated[
    dict[LabelKey, Annotated[str, Field(max_length=16_384)]],
    Field(max_length=50, description="Annotations, such as a mesh or a vault asks for."),
    Rule(
        cel=f"self.all(k, !k.startsWith('{_PLATFORM}'))",
        message=f"annotations that begin with {_PLATFORM} are set by the platform",
        holds=lambda annotations: not any(key.startswith(_PLATFORM) for key in annotations),
    ),
]
VolumeName = Annotated[
    str,
    Field(pattern=_DNS_LABEL, max_length=63),
    Rule(
        cel="!(self in ['config', 'kafka-ca', 'scratch', 'task', 'ca-bundle'])",
        message="a volume of this name is the platform's; call it otherwise",
        holds=lambda name: name not in ("config", "kafka-ca", "scratch", "task", "ca-bundle"),
    ),
]


class LocalObject(Part):
    """An object of the flow's own namespace."""

    name: ObjectName = Field(description="Its name.")


class KeyToPath(Part):
    """A key, and the file that it becomes."""

    key: ObjectKey = Field(description="Key within the object.")
    path: Annotated[str, Field(pattern=r"^[^/\x00-\x1f][^\x00-\x1f]*$", max_length=253)] = Field(
        description="The file, seen from where the volume is mounted."
    )


Items = Annotated[tuple[KeyToPath, ...], Field(max_length=50)]
ITEMS = "The keys that become files, and which; all, under their own names, when left out."


class ConfigMapVolume(Part):
    """The keys of a ConfigMap as files."""

    name: ObjectName = Field(description="Name of the ConfigMap, in the flow's own namespace.")
    items: Items | None = Field(None, description=ITEMS)
    optional: bool | None = Field(None, description="Whether a pod starts though it is not there.")


class SecretVolume(Part):
    """The keys of a Secret as files."""

    secret_name: ObjectName = Field(description="Name of the Secret, in the flow's own namespace.")
    items: Items | None = Field(None, description=ITEMS)
    optional: bool | None = Field(None, description="Whether a pod starts though it is not there.")


class EmptyDirVolume(Part):
    """A folder that is empty at each start of a pod. It stops `kubectl drain` unless that is told to delete it."""

    medium: Literal["", "Memory"] | None = Field(None, description="Memory, or the node's disk when left out.")
    size_limit: Quantity | None = Field(None, description="How much it may hold, such as 1Gi.")


class CsiVolume(Part):
    """A volume that lives as long as its pod, of a driver of the cluster: secrets of a vault, certificates."""

    driver: ObjectName = Field(description="Name of the driver, such as secrets-store.csi.k8s.io.")
    read_only: bool | None = Field(None, description="Whether it can be read alone.")
    volume_attributes: (
        Annotated[
            dict[Annotated[str, Field(max_length=253)], Annotated[str, Field(max_length=1024)]], Field(max_length=20)
        ]
        | None
    ) = Field(None, description="What the driver is told.")


class Volume(Part):
    """Files for a service's container."""

    name: VolumeName = Field(description="Name of the volume, by which it is mounted.")
    config_map: ConfigMapVolume | None = Field(None, description="The keys of a ConfigMap as files.")
    secret: SecretVolume | None = Field(None, description="The keys of a Secret as files.")
    empty_dir: EmptyDirVolume | None = Field(None, description="A folder that is empty at first.")
    csi: CsiVolume | None = Field(None, description="A volume of a driver of the cluster, for the pod's life.")

    rules = (exactly_one("configMap", "secret", "emptyDir", "csi"),)


class VolumeMount(Part):
    """Where a volume is seen."""

    name: VolumeName = Field(description="Name of the volume.")
    mount_path: Annotated[
        str,
        Field(pattern=r"^/[^:\x00-\x1f]*$", max_length=512),
        Rule(
            cel=f"!self.startsWith('{_OWN_FOLDER}')",
            message=f"folders that begin with {_OWN_FOLDER} are the platform's",
            holds=lambda path: not path.startswith(_OWN_FOLDER),
        ),
    ] = Field(description="The folder, or with subPath the file, in the container.")
    sub_path: Annotated[str, Field(pattern=r"^[^/\x00-\x1f][^\x00-\x1f]*$", max_length=253)] | None = Field(
        None, description="What of the volume is mounted; all when left out."
    )
    read_only: bool | None = Field(None, description="Whether it can be read alone.")


class EnvFrom(Part):
    """All keys of an object as variables; those of `env` and of the platform go before them."""

    prefix: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=63)] | None = Field(
        None, description="What each variable's name begins with."
    )
    config_map_ref: LocalObject | None = Field(None, description="The ConfigMap.")
    secret_ref: LocalObject | None = Field(None, description="The Secret.")

    rules = (exactly_one("configMapRef", "secretRef"),)


class CaBundle(Part):
    """Certificate authorities, in PEM, that a service's clients trust in place of the image's."""

    config_map_key_ref: ConfigMapKeyRef | None = Field(None, description="The ConfigMap's key that holds them.")
    secret_key_ref: SecretKeyRef | None = Field(None, description="The Secret's key that holds them.")

    rules = (exactly_one("configMapKeyRef", "secretKeyRef"),)


class ServiceAccount(Part):
    """The account of a service's pods: one of its own, where it is given."""

    annotations: Annotations = Field(default_factory=dict, description="What a cloud gives rights on its services by.")


def _times(low: int, high: int) -> Any:
    return Field(strict=True, ge=low, le=high)


class Probe(Part):
    """How Kubernetes asks a pod how it is; what is left out is as the platform has it."""

    path: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=253)] | None = Field(
        None,
        description="What is asked for at httpPort, where the program has other pages than ours.",
    )
    initial_delay_seconds: Annotated[int, _times(0, 3600)] | None = Field(None, description="Seconds before the first.")
    period_seconds: Annotated[int, _times(1, 3600)] | None = Field(None, description="Seconds from one to the next.")
    timeout_seconds: Annotated[int, _times(1, 3600)] | None = Field(None, description="Seconds an answer may take.")
    failure_threshold: Annotated[int, _times(1, 10_000)] | None = Field(
        None, description="How many have to fail in a row."
    )


class Probes(Part):
    """The three questions."""

    startup: Probe | None = Field(None, description="Whether it has started: until then nothing else is asked.")
    liveness: Probe | None = Field(None, description="Whether it lives: else it is started anew.")
    readiness: Probe | None = Field(None, description="Whether it takes requests.")


class Pod(Part):
    """What is asked of pods besides; a service's own word goes before the flow's defaults, field by field."""

    labels: Labels = Field(default_factory=dict)
    annotations: Annotations = Field(default_factory=dict)
    image_pull_secrets: Annotated[tuple[LocalObject, ...], Field(max_length=20), UniqueBy("name")] | None = Field(
        None, description="Secrets with logins at registries."
    )
    node_selector: Annotated[dict[LabelKey, LabelValue], Field(max_length=50)] | None = Field(
        None, description="Labels that a node has to have."
    )
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=20)] | None = Field(
        None, description="Taints of nodes that do not keep the pods away."
    )
    affinity: Affinity | None = Field(None, description="Which nodes, and which other pods, are sought and shunned.")
    topology_spread_constraints: Annotated[tuple[TopologySpreadConstraint, ...], Field(max_length=10)] | None = Field(
        None, description="How the pods are spread over zones and nodes."
    )
    priority_class_name: ObjectName | None = Field(None, description="How important they are, by a PriorityClass.")
    service_account: ServiceAccount | None = Field(None, description="An account of their own, and what is said of it.")
    volumes: Annotated[tuple[Volume, ...], Field(max_length=20), UniqueBy("name")] | None = Field(
        None, description="Files for the container."
    )
    volume_mounts: Annotated[tuple[VolumeMount, ...], Field(max_length=20), UniqueBy("mount_path")] | None = Field(
        None, description="Where the container has them."
    )
    ca_bundle: CaBundle | None = Field(
        None, description="Authorities that clients trust, told to OpenSSL, Python, Node, curl and the AWS SDKs."
    )
    env_from: Annotated[tuple[EnvFrom, ...], Field(max_length=20)] | None = Field(
        None, description="Objects whose keys become variables."
    )
    probes: Probes | None = Field(None, description="How Kubernetes asks how they are.")
    termination_grace_period_seconds: Annotated[int, _times(1, 86_400)] | None = Field(
        None, description="Seconds to end in, httpDrain among them; 55 more than that when left out."
    )

    def over(self, defaults: "Pod") -> "Pod":
        """Return what holds: each field that is given here, labels and annotations key by key, else the defaults'."""
        given = {name: value for name, value in self if value is not None}
        maps = {name: getattr(defaults, name) | getattr(self, name) for name in ("labels", "annotations")}
        return defaults.model_copy(update=given | maps)
