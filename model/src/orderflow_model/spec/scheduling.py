"""Where pods may run, as Kubernetes says it (core/v1): tolerations, affinity, spread. A part of `pod`."""

from typing import Annotated, Literal

from pydantic import Field

from orderflow_model.spec.base import Part, Rule

_KEY = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"

LabelKey = Annotated[str, Field(pattern=_KEY, max_length=317)]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)]
TopologyKey = Annotated[LabelKey, Field(description="Label of nodes; those with one value are one place.")]
Weight = Annotated[int, Field(strict=True, ge=1, le=100, description="How much it counts beside the others.")]
Values = Annotated[tuple[LabelValue, ...], Field(max_length=50)]
Keys = Annotated[tuple[LabelKey, ...], Field(max_length=10)]


class Toleration(Part):
    """A taint that does not keep pods away."""

    key: LabelKey | None = Field(None, description="Key of the taint; every key when left out, with Exists.")
    operator: Literal["Exists", "Equal"] = Field("Equal", description="Exists takes every value, Equal the one given.")
    value: LabelValue | None = Field(None, description="Value of the taint, for Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Effect of the taint; every effect when left out."
    )
    toleration_seconds: Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)] | None = Field(
        None, description="Seconds that pods stay under NoExecute; for ever when left out."
    )

    rules = (
        Rule(
            cel="!has(self.operator) || self.operator != 'Exists' || !has(self.value)",
            message="operator Exists takes no value",
            holds=lambda one: one.operator != "Exists" or one.value is None,
        ),
        Rule(
            cel="has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            message="without a key, operator has to be Exists",
            holds=lambda one: one.key is not None or one.operator == "Exists",
        ),
        Rule(
            cel="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            message="tolerationSeconds needs effect NoExecute",
            holds=lambda one: one.toleration_seconds is None or one.effect == "NoExecute",
        ),
    )


def _takes_values(operator: str, values: tuple[str, ...]) -> bool:
    many = {"In": len(values) > 0, "NotIn": len(values) > 0, "Gt": len(values) == 1, "Lt": len(values) == 1}
    return many.get(operator, not values)


class LabelRequirement(Part):
    """What must hold for a label of pods or namespaces."""

    key: LabelKey = Field(description="Key of the label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How it is compared.")
    values: Values = Field((), description="What it is compared with, for In and NotIn.")

    rules = (
        Rule(
            cel="(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            message="In and NotIn take values, Exists and DoesNotExist none",
            holds=lambda one: _takes_values(one.operator, one.values),
        ),
    )


class NodeRequirement(Part):
    """What must hold for a label or field of nodes."""

    key: LabelKey = Field(description="Key of the label, or the field, such as metadata.name.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = Field(description="How it is compared.")
    values: Values = Field((), description="What it is compared with; one whole number for Gt and Lt.")

    rules = (
        Rule(
            cel="self.operator in ['Exists', 'DoesNotExist'] ? !has(self.values) || size(self.values) == 0 :"
            " has(self.values) && (self.operator in ['Gt', 'Lt'] ? size(self.values) == 1 : size(self.values) > 0)",
            message="In and NotIn take values, Gt and Lt one, Exists and DoesNotExist none",
            holds=lambda one: _takes_values(one.operator, one.values),
        ),
    )


class LabelSelector(Part):
    """Labels that objects are found by; all that is said must hold."""

    match_labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=20)] | None = Field(
        None, description="Labels and their values."
    )
    match_expressions: Annotated[tuple[LabelRequirement, ...], Field(max_length=10)] | None = Field(
        None, description="What must hold for labels."
    )


Requirements = Annotated[tuple[NodeRequirement, ...], Field(max_length=10)]


class NodeSelectorTerm(Part):
    """Nodes for which all of it holds."""

    match_expressions: Requirements | None = Field(None, description="What must hold for a node's labels.")
    match_fields: Requirements | None = Field(None, description="What must hold for a node's fields.")


class NodeSelector(Part):
    """Nodes for which one of the terms holds."""

    node_selector_terms: Annotated[tuple[NodeSelectorTerm, ...], Field(min_length=1, max_length=10)] = Field(
        description="One of these must hold."
    )


class PreferredNodes(Part):
    """Nodes that are sought rather than others."""

    weight: Weight
    preference: NodeSelectorTerm = Field(description="Which.")


class NodeAffinity(Part):
    """Which nodes pods run on."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = Field(
        None, description="On these and no others."
    )
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[tuple[PreferredNodes, ...], Field(max_length=10)] | None
    ) = Field(None, description="On these rather than on others.")


class PodAffinityTerm(Part):
    """A place with, or without, certain pods."""

    label_selector: LabelSelector | None = Field(
        None, description="Which pods; those of the same process when left out."
    )
    topology_key: TopologyKey
    namespaces: Annotated[tuple[Annotated[str, Field(max_length=63)], ...], Field(max_length=20)] | None = Field(
        None, description="Namespaces of those pods; the flow's own when left out."
    )
    namespace_selector: LabelSelector | None = Field(None, description="Namespaces of those pods, by their labels.")
    match_label_keys: Keys | None = Field(None, description="Labels that they share with the pod that is placed.")
    mismatch_label_keys: Keys | None = Field(None, description="Labels in which they differ from it.")


class PreferredPods(Part):
    """A place that is sought, or shunned, rather than others."""

    weight: Weight
    pod_affinity_term: PodAffinityTerm = Field(description="Which.")


class PodAffinity(Part):
    """Which other pods are near."""

    required_during_scheduling_ignored_during_execution: (
        Annotated[tuple[PodAffinityTerm, ...], Field(max_length=10)] | None
    ) = Field(None, description="What must hold.")
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[tuple[PreferredPods, ...], Field(max_length=10)] | None
    ) = Field(None, description="What is better.")


class Affinity(Part):
    """Which nodes, and which other pods, are sought and shunned."""

    node_affinity: NodeAffinity | None = Field(None, description="Which nodes.")
    pod_affinity: PodAffinity | None = Field(None, description="Which pods are near.")
    pod_anti_affinity: PodAffinity | None = Field(None, description="Which pods are not near.")


class TopologySpreadConstraint(Part):
    """How evenly pods are spread over the values of a label of nodes."""

    max_skew: Annotated[int, Field(strict=True, ge=1, le=1000)] = Field(
        description="How many pods more one place may have than another."
    )
    topology_key: TopologyKey
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(description="What if they cannot be.")
    label_selector: LabelSelector | None = Field(
        None, description="Which pods are counted; those of the same process when left out."
    )
    min_domains: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = Field(
        None, description="How many places there have to be, with DoNotSchedule."
    )
    match_label_keys: Keys | None = Field(None, description="Labels that they share with the pod that is placed.")
    node_affinity_policy: Literal["Honor", "Ignore"] | None = Field(
        None, description="Whether nodes that the pods cannot run on count."
    )
    node_taints_policy: Literal["Honor", "Ignore"] | None = Field(None, description="Whether tainted nodes count.")

    rules = (
        Rule(
            cel="!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
            message="minDomains needs whenUnsatisfiable DoNotSchedule",
            holds=lambda one: one.min_domains is None or one.when_unsatisfiable == "DoNotSchedule",
        ),
    )
