"""References from the resource to keys of Secrets and ConfigMaps in its own namespace."""

from pydantic import Field

from orderflow_model.spec.base import Part
from orderflow_model.spec.scalars import ObjectKey, ObjectName


class SecretKeyRef(Part):
    """One key of a Secret in the flow's namespace."""

    name: ObjectName = Field(description="Name of the Secret, in the flow's own namespace.")
    key: ObjectKey = Field(description="Key within the Secret.")


class ConfigMapKeyRef(Part):
    """One key of a ConfigMap in the flow's namespace."""

    name: ObjectName = Field(description="Name of the ConfigMap, in the flow's own namespace.")
    key: ObjectKey = Field(description="Key within the ConfigMap.")


class SecretSource(Part):
    """A value that stands in a Secret."""

    secret_key_ref: SecretKeyRef = Field(description="The Secret's key that holds the value.")


class ConfigMapSource(Part):
    """A value that stands in a ConfigMap."""

    config_map_key_ref: ConfigMapKeyRef = Field(description="The ConfigMap's key that holds the value.")
