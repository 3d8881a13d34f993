"""What flows want, made once for the turns that follow each other while it comes about."""

from collections import OrderedDict

from orderflow_model.flow import OrderFlow
from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.labels import Object
from orderflow_operator.resources.build_context import BuildContext
from orderflow_operator.resources.desired import desired

_FLOWS = 32
"""Kept are those of the last turns: the objects of all flows would take most of the operator's memory."""


class WantedObjects:
    """Remembers what `desired` made of the flows that had a turn last."""

    def __init__(self) -> None:
        self._last: OrderedDict[FlowKey, tuple[OrderFlow, BuildContext, list[Object]]] = OrderedDict()

    def of(self, key: FlowKey, flow: OrderFlow, build: BuildContext) -> list[Object]:
        """Return every object the flow wants; nobody changes them in place."""
        flow = _without_version(flow)
        last = self._last.pop(key, None)
        if last is None or last[:2] != (flow, build):
            last = (flow, build, desired(flow, build))
        self._last[key] = last
        if len(self._last) > _FLOWS:
            self._last.popitem(last=False)
        return last[2]


def _without_version(flow: OrderFlow) -> OrderFlow:
    """Return the flow without what each write of its status changes."""
    return flow.model_copy(update={"metadata": flow.metadata.model_copy(update={"resource_version": None})})
