"""Every order in which one saga's events can come, and a great many for several at once: at rest all adds up."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderflow_order.domain import State
from support.flow.saga import Plan, World
from support.flow.saga_oracles import check

APPLES = (("apple", 2, 300),)
TOO_MANY = (("apple", 11, 300), ("pear", 1, 100))
PLANS = {
    "sold": Plan(),
    "out of stock": Plan(lines=TOO_MANY),
    "partial": Plan(lines=TOO_MANY, allow_partial=True),
    "declined": Plan(declined=True),
    "unserviceable": Plan(country="XX"),
    "refund refused": Plan(refusals=1),
    "unserviceable, refund refused": Plan(country="XX", refusals=1),
}

plans = st.builds(
    Plan,
    lines=st.lists(
        st.tuples(st.sampled_from(["apple", "pear"]), st.integers(1, 4), st.integers(0, 500)), min_size=1, max_size=3
    ).map(tuple),
    allow_partial=st.booleans(),
    country=st.sampled_from(["BE", "BE", "XX"]),
    declined=st.booleans(),
    refusals=st.integers(0, 2),
    cancels=st.booleans(),
)


def explore(world):
    """Visit every reachable state once; give the states of the order that were found at rest."""
    seen, stack, ends = {world.fingerprint()}, [world], set()
    while stack:
        at = stack.pop()
        for then in successors(at):
            mark = then.fingerprint()
            if mark not in seen:
                seen.add(mark)
                stack.append(then)
        if not any(at.due()):
            check(at)
            ends.add(at.order_row().state)
    return ends


def successors(world):
    """Give the worlds one action further; what touches nothing that another action sees is done at once."""
    due = list(world.due())
    alone = [a for a in due if a.what == "perform" or a.subject[0] == "notification"][:1]
    for action in alone or [*due, *world.possible()]:
        then = world.copy()
        then.do(action)
        yield then


def run(world, choose):
    """Let things happen as `choose(n)` (an index below n) says, some of them twice, until nothing is due."""
    while due := list(world.due()):
        actions = due * 4 + list(world.possible())
        action = actions[choose(len(actions))]
        if action.what == "deliver" and choose(8) == 7:
            world.repeat(action)
        world.do(action)


def resume_all(world):
    """Let the operator resume what failed until the provider gives in."""
    for key in world.plans:
        while world.order_row(key).state is State.COMPENSATION_FAILED:
            world.do_now("resume", key)
            world.settle()


@pytest.mark.parametrize("name", PLANS)
def test_every_interleaving_of_one_order_ends_well(name):
    """Whatever overtakes whatever, with a cancel, deadline and resume at any moment, one order adds up at rest."""
    plan = PLANS[name]
    ends = explore(World.of(replace(plan, cancels=True), resumes=plan.refusals))
    assert State.CANCELLED in ends
    assert (State.COMPLETED in ends) == (name in ("sold", "partial", "refund refused"))
    assert (State.COMPENSATION_FAILED in ends) == bool(plan.refusals)


@settings(max_examples=300, deadline=None)
@given(st.lists(plans, min_size=1, max_size=4), st.lists(st.integers(0, 2**20), max_size=120))
def test_orders_that_compete_for_stock_add_up_in_any_order(several, schedule):
    """Several orders over one shelf, with duplicates, cancels and deadlines at any time, add up at rest."""
    numbers = iter(schedule)
    named = [replace(plan, key=f"o{i}") for i, plan in enumerate(several)]
    world = World.of(*named, stock={"apple": 5, "pear": 3})
    run(world, lambda n: next(numbers, 0) % n)
    check(world)
    resume_all(world)
    check(world)
    assert world.reserved() == 0


def test_thousands_of_random_runs_add_up():
    """Three thousand seeded runs of three competing orders add up, before and after the operator resumes."""
    for seed in range(3000):
        random = Random(seed)
        world = World.of(*(a_plan(random, f"o{i}") for i in range(3)), stock={"apple": 6, "pear": 3})
        run(world, random.randrange)
        check(world)
        resume_all(world)
        check(world)
        assert world.reserved() == 0, seed


def a_plan(random, key):
    """Draw a plan in which every kind of trouble is common."""
    lines = tuple(
        (random.choice(["apple", "pear"]), random.randint(1, 4), random.randint(0, 500))
        for _ in range(random.randint(1, 3))
    )
    return Plan(
        key=key,
        lines=lines,
        allow_partial=random.random() < 0.4,
        country="XX" if random.random() < 0.2 else "BE",
        declined=random.random() < 0.2,
        refusals=random.choice([0, 0, 1, 2]),
        cancels=random.random() < 0.5,
    )
