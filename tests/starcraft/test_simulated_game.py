"""The simulated game itself, played through pysc2's controller."""

from __future__ import annotations

import pytest

pytest.importorskip("pysc2", reason="the simulated game speaks pysc2's protocol")

from absl import flags
from pysc2 import run_configs
from pysc2.lib import protocol
from s2clientprotocol import debug_pb2, raw_pb2, sc2api_pb2
from simulated_battle import AGENTS, ARMIES, ENEMIES, EndlessRestart
from simulated_game import ATTACK, MOVE


@pytest.fixture
def join(simulated_game):
    """Launch a game on a map as SMAC does; returns its controller."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()

    def launch(map_name, seed=None):
        controller = run_configs.get().start(want_rgb=False).controller
        create = sc2api_pb2.RequestCreateGame(random_seed=seed)
        create.local_map.map_path = f"SMAC_Maps/{map_name}.SC2Map"
        controller.create_game(create)
        controller.join_game(sc2api_pb2.RequestJoinGame())
        return controller

    return launch


def units(controller, owner=None):
    found = controller.observe().observation.raw_data.units
    return [unit for unit in found if owner in (None, unit.owner)]


def kill(controller, targets):
    tags = [unit.tag for unit in targets]
    kill_unit = debug_pb2.DebugKillUnit(tag=tags)
    controller.debug([debug_pb2.DebugCommand(kill_unit=kill_unit)])


def order(controller, unit, **what):
    command = raw_pb2.ActionRawUnitCommand(unit_tags=[unit.tag], **what)
    raw = raw_pb2.ActionRaw(unit_command=command)
    controller.actions(
        sc2api_pb2.RequestAction(actions=[sc2api_pb2.Action(action_raw=raw)])
    )


@pytest.mark.parametrize("map_name", ARMIES)
def test_every_v1_map_has_both_armies_at_full_health(join, map_name):
    controller = join(map_name)
    agents, enemies = ARMIES[map_name]
    assert len(units(controller, AGENTS)) == len(agents)
    assert len(units(controller, ENEMIES)) == len(enemies)
    for unit in units(controller):
        assert (unit.health, unit.shield) == (unit.health_max, unit.shield_max)
    custom = {unit.unit_type for unit in units(controller, AGENTS)}
    assert len(custom) == len(set(agents)) and min(custom) > 1000


def test_enemies_approach_and_win_against_agents_without_orders(join):
    controller = join("3m")
    before = {unit.tag: unit.pos.x for unit in units(controller, ENEMIES)}
    controller.step(8)
    assert all(unit.pos.x < before[unit.tag] for unit in units(controller, ENEMIES))
    controller.step(800)
    assert not units(controller, AGENTS)
    assert len(units(controller, ENEMIES)) == 3


def test_attack_walks_into_range_and_wears_down_shields_before_health(
    join, simulated_game
):
    simulated_game.options.idle_enemies = True
    simulated_game.options.gap = 12.0
    controller = join("3s_vs_5z")
    agent, enemy = units(controller, AGENTS)[0], units(controller, ENEMIES)[0]
    order(controller, agent, ability_id=ATTACK, target_unit_tag=enemy.tag)
    seen = []
    for _ in range(60):
        controller.step(8)
        now = next((u for u in units(controller) if u.tag == enemy.tag), None)
        if now is None:
            break
        seen.append((now.shield, now.health))
    assert seen[0] == (50, 100)
    assert all(health == 100 or shield == 0 for shield, health in seen)
    assert now is None


def test_moves_at_the_speed_of_the_unit_and_stays_on_the_map(join, simulated_game):
    simulated_game.options.idle_enemies = True
    controller = join("3m")
    agent = units(controller, AGENTS)[0]
    for steps, x in ((8, agent.pos.x - 8 * 0.14), (400, 1.0)):
        target = {"x": -20.0, "y": agent.pos.y}
        order(controller, agent, ability_id=MOVE, target_world_space_pos=target)
        controller.step(steps)
        assert units(controller, AGENTS)[0].pos.x == pytest.approx(x, abs=1e-3)


def test_shields_come_back_after_a_while(join, simulated_game):
    simulated_game.options.idle_enemies = True
    controller = join("3s_vs_5z")
    unit = simulated_game.battle.side(AGENTS)[0]
    unit.shield, unit.struck_at = 10.0, 0
    controller.step(160)
    assert unit.shield == 10.0
    controller.step(8)
    assert unit.shield == pytest.approx(11.0)


def test_armies_come_back_one_step_after_the_map_is_empty(join):
    controller = join("3m")
    kill(controller, old := units(controller))
    assert not units(controller)
    controller.step(1)
    assert len(units(controller)) == 6
    assert not {unit.tag for unit in old} & {unit.tag for unit in units(controller)}


def test_waiting_for_a_lasting_emptiness_raises(join, simulated_game):
    controller = join("3m")
    kill(controller, units(controller))
    for _ in range(simulated_game.options.patience):
        controller.step(2)
    with pytest.raises(EndlessRestart, match="3m"):
        controller.step(2)


def test_map_of_smacv2_stays_empty_until_units_are_created(join):
    controller = join("32x32_flat")
    controller.step(8)
    assert not units(controller)
    marine = debug_pb2.DebugCreateUnit(unit_type=48, owner=ENEMIES, quantity=2)
    controller.debug([debug_pb2.DebugCommand(create_unit=marine)])
    assert [unit.owner for unit in units(controller)] == [ENEMIES] * 2
    assert len(controller.data().units) == max(controller.data().units) + 1


@pytest.mark.parametrize(
    ("lost_as", "error"),
    [
        ("connection", protocol.ConnectionError),
        ("protocol", protocol.ProtocolError),
    ],
)
def test_connection_is_lost_at_the_given_step_once(
    join, simulated_game, lost_as, error
):
    simulated_game.options.lose_connection_at = 20
    simulated_game.options.lost_as = lost_as
    controller = join("3m")
    controller.step(8)
    controller.step(8)
    with pytest.raises(error):
        controller.step(8)
    join("3m").step(80)


def test_same_seed_same_battle(join):
    def play(seed):
        controller = join("8m", seed)
        controller.step(200)
        return [(unit.health, unit.pos.x) for unit in units(controller)]

    assert play(1) == play(1) != play(2)


def test_requests_and_processes_are_counted(join, simulated_game):
    join("3m", seed=3)
    join("8m")
    assert simulated_game.launches == 2
    assert simulated_game.seeds == [3, None]
    first = simulated_game.processes[0]
    assert first.requests["create_game"] == first.requests["join_game"] == 1
    first.close()
    first.close()
    assert simulated_game.running == simulated_game.processes[1:]
    with pytest.raises(protocol.ProtocolError):
        first.controller.observe()


def test_what_the_game_does_not_know_is_an_error(join):
    with pytest.raises(protocol.ProtocolError, match="available_maps"):
        join("3m").available_maps()
