"""The number of pods passes between the resource and an autoscaler, and nobody's pods go for it."""

from support.cluster.api import background
from support.cluster.operator_env import OperatorEnv
from support.flow.fleet import until
from support.flow.flows import changed, pair

FIXED = changed(pair(), "spec.services.1.scale", {"min": 3, "max": 3})
SCALED = changed(pair(), "spec.services.1.scale", {"min": 3, "max": 6})


async def test_pods_stay_while_their_number_passes_to_an_autoscaler(env: OperatorEnv) -> None:
    """A field that nobody applies any more falls back to one pod; this one is handed over first."""
    await env.start()
    await env.apply(FIXED)
    await env.until_ready("pair")
    numbers: list[int] = []

    async def note() -> None:
        async for _, found in env.api.follow("Deployment", env.namespace):
            if found["metadata"]["name"] == "pair-answerer":
                numbers.append(found["spec"]["replicas"])

    async with background(note()):
        await env.apply(SCALED)
        await env.until_ready("pair")
        await env.settle(2)
    assert set(numbers) == {3}, "not even for a moment another number"
    assert await env.api.get("ScaledObject", env.namespace, "pair-answerer")


async def test_the_resource_takes_the_number_of_pods_back(env: OperatorEnv) -> None:
    """With as many pods at least as at most, an autoscaler's last word counts no more."""
    await env.start()
    await env.apply(SCALED)
    said = await env.until("pair", "ServicesReady", "False", "ScalingOut")
    assert "answerer: 1 of at least 3 pods" in said["message"]
    await env.api.patch("Deployment", env.namespace, "pair-answerer", {"spec": {"replicas": 0}})
    said = await env.until("pair", "ServicesReady", "False", "ScaledToZero")
    assert "kubectl scale -n" in said["message"], "an autoscaler leaves alone what somebody set to none"
    await env.api.patch("Deployment", env.namespace, "pair-answerer", {"spec": {"replicas": 5}})
    await env.until_ready("pair")
    await env.apply(FIXED)

    async def three() -> bool:
        found = await env.api.get("Deployment", env.namespace, "pair-answerer") or {}
        scaled = await env.api.get("ScaledObject", env.namespace, "pair-answerer")
        return scaled is None and bool(found["spec"]["replicas"] == 3)

    await until(three, "three pods, and no autoscaler", 60)
    await env.until_ready("pair")


async def test_pods_are_guarded_from_the_second_on(env: OperatorEnv) -> None:
    """One pod needs no budget; as soon as an autoscaler gives a second there is one, which stays with the first."""
    await env.start()
    await env.apply(changed(pair(), "spec.services.1.scale", {"min": 1, "max": 6}))
    await env.until_ready("pair")

    async def guarded() -> bool:
        return await env.api.get("PodDisruptionBudget", env.namespace, "pair-answerer") is not None

    assert not await guarded()
    await env.api.patch("Deployment", env.namespace, "pair-answerer", {"spec": {"replicas": 2}})
    await until(guarded, "the second pod is guarded", 10)
    await env.api.patch("Deployment", env.namespace, "pair-answerer", {"spec": {"replicas": 1}})
    await env.settle()
    assert await guarded()
