"""A StarCraft II process that runs no StarCraft II, for tests of its clients.

It stands in for the binary only: pysc2's own ``RemoteController`` talks to it, in
serialized protocol buffers, so that everything above the websocket is the real thing.
Needs pysc2; take it through the fixture ``simulated_game``.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import websocket
from pysc2.lib import remote_controller
from pysc2.run_configs import lib
from s2clientprotocol import common_pb2 as sc_common
from s2clientprotocol import data_pb2 as sc_data
from s2clientprotocol import raw_pb2 as sc_raw
from s2clientprotocol import sc2api_pb2 as sc_pb
from simulated_battle import (
    AGENTS,
    CUSTOM_KINDS,
    FIRST_CUSTOM_TYPE,
    MAP_SIZE,
    Battle,
    Options,
    Order,
    Unit,
)

STOP, MOVE, ATTACK, HEAL = 4, 16, 23, 386


class SimulatedGame:
    """Launches simulated processes, and remembers what it was asked for.

    Attributes:
        options: how battles and connections behave; may be changed at any time.
        processes: all that were ever launched, in order.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options = Options()
        self.processes: list[SimulatedProcess] = []

    @property
    def launches(self) -> int:
        return len(self.processes)

    @property
    def running(self) -> list[SimulatedProcess]:
        return [process for process in self.processes if not process.closed]

    @property
    def seeds(self) -> list[int | None]:
        """The seed each process got; None where the client gave none."""
        return [process.seed for process in self.processes]

    @property
    def battle(self) -> Battle:
        """The battle of the newest process."""
        return self.processes[-1].battle

    def get(self, version: str | None = None) -> SimulatedRunConfig:
        """Stand in for ``pysc2.run_configs.get``."""
        return SimulatedRunConfig(self, version or "4.10.0")


class SimulatedRunConfig(lib.RunConfig):
    """An installation of the game that has every map."""

    def __init__(self, game: SimulatedGame, version: str) -> None:
        folder = str(game.folder)
        super().__init__(folder, folder, folder, version)
        self._game = game

    def map_data(self, map_name: str, players: int | None = None) -> bytes:
        return map_name.encode()

    def start(self, version: str | None = None, **kwargs: Any) -> SimulatedProcess:
        process = SimulatedProcess(self._game.options)
        self._game.processes.append(process)
        return process


class SimulatedProcess:
    """One running game, which answers requests.

    Attributes:
        controller: pysc2's controller, connected to this process.
        create: the request that created the game; None before.
        join: the request that joined it; None before.
        battle: what goes on in it; None before.
        requests: how many requests of each name came.
        closed: whether the client closed it.
        lost: whether it broke down.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.status = sc_pb.launched
        self.create: sc_pb.RequestCreateGame | None = None
        self.join: sc_pb.RequestJoinGame | None = None
        self.battle: Battle | None = None
        self.requests: Counter[str] = Counter()
        self.closed = False
        self.lost = False
        self.controller = _Controller(_Socket(self))

    @property
    def seed(self) -> int | None:
        if self.create is None or not self.create.HasField("random_seed"):
            return None
        return self.create.random_seed

    def close(self) -> None:
        """As pysc2's: closing twice is harmless."""
        if not self.closed:
            self.closed = True
            self.controller.quit()

    def answer(self, request: sc_pb.Request) -> sc_pb.Response:
        """Respond to a request.

        Raises:
            WebSocketConnectionClosedException: if the process has broken down.
            EndlessRestart: if the client would wait for ever.
        """
        if self.lost:
            raise websocket.WebSocketConnectionClosedException("the game is gone")
        name = request.WhichOneof("request")
        self.requests[name] += 1
        response = sc_pb.Response(id=request.id)
        getattr(response, name).SetInParent()
        handler = getattr(self, f"_on_{name}", None)
        if handler is None:
            response.error.append(f"the simulated game does not know {name}")
        else:
            handler(getattr(request, name), response)
        response.status = self.status
        return response

    def _on_ping(self, request: Any, response: sc_pb.Response) -> None:
        response.ping.game_version = "4.10.0"

    def _on_quit(self, request: Any, response: sc_pb.Response) -> None:
        self.status = sc_pb.quit

    def _on_create_game(
        self, request: sc_pb.RequestCreateGame, response: sc_pb.Response
    ) -> None:
        self.create = request
        self.status = sc_pb.init_game

    def _on_join_game(
        self, request: sc_pb.RequestJoinGame, response: sc_pb.Response
    ) -> None:
        self.join = request
        response.join_game.player_id = AGENTS
        self._start_battle()

    def _on_restart_game(self, request: Any, response: sc_pb.Response) -> None:
        self._start_battle()

    def _start_battle(self) -> None:
        map_name = PurePosixPath(self.create.local_map.map_path).stem
        self.battle = Battle(map_name, self.seed, self.options)
        self.status = sc_pb.in_game

    def _on_game_info(self, request: Any, response: sc_pb.Response) -> None:
        size, bits = MAP_SIZE, (1 << (MAP_SIZE - 1)) - 2
        # One cell all around cannot be walked on: the bits of a row are 0111...110.
        rows = [0, *[bits] * (size - 2), 0]
        start = response.game_info.start_raw
        response.game_info.map_name = self.battle.map_name
        start.map_size.x = start.map_size.y = size
        start.playable_area.p1.x = start.playable_area.p1.y = size
        start.pathing_grid.bits_per_pixel = 1
        start.pathing_grid.size.x = start.pathing_grid.size.y = size
        start.pathing_grid.data = b"".join(
            row.to_bytes(size // 8, "big") for row in rows
        )
        start.terrain_height.bits_per_pixel = 8
        start.terrain_height.size.x = start.terrain_height.size.y = size
        start.terrain_height.data = bytes([127]) * size**2

    def _on_data(self, request: Any, response: sc_pb.Response) -> None:
        # smacv2 finds the custom types by counting: they are the last ones.
        names = [f"type_{i}" for i in range(FIRST_CUSTOM_TYPE)]
        names += [f"{name}_RL" for name in CUSTOM_KINDS]
        for unit_id, name in enumerate(names):
            response.data.units.append(sc_data.UnitTypeData(unit_id=unit_id, name=name))

    def _on_observation(self, request: Any, response: sc_pb.Response) -> None:
        observation = response.observation.observation
        observation.game_loop = self.battle.loop
        observation.player_common.player_id = AGENTS
        observation.raw_data.SetInParent()
        observation.raw_data.units.extend(map(_to_message, self.battle.units))

    def _on_action(
        self, request: sc_pb.RequestAction, response: sc_pb.Response
    ) -> None:
        for action in request.actions:
            command = action.action_raw.unit_command
            order = None
            if command.ability_id in (ATTACK, HEAL):
                order = Order(target=command.target_unit_tag)
            elif command.ability_id == MOVE:
                point = command.target_world_space_pos
                order = Order(point=(point.x, point.y))
            elif command.ability_id != STOP:
                response.action.result.append(1 + len(response.action.result))
                continue
            for tag in command.unit_tags:
                self.battle.command(tag, order)

    def _on_step(self, request: sc_pb.RequestStep, response: sc_pb.Response) -> None:
        at, after = self.options.lose_connection_at, self.battle.loop + request.count
        if at is not None and after >= at:
            self.options.lose_connection_at = None
            if self.options.lost_as == "protocol":
                response.error.append("the simulated game has a fault")
                return
            self.lost = True
            raise websocket.WebSocketConnectionClosedException("the game is gone")
        self.battle.step(request.count)
        response.step.simulation_loop = self.battle.loop

    def _on_debug(self, request: sc_pb.RequestDebug, response: sc_pb.Response) -> None:
        for command in request.debug:
            if command.HasField("kill_unit"):
                self.battle.kill(list(command.kill_unit.tag))
            elif command.HasField("create_unit"):
                new = command.create_unit
                for _ in range(new.quantity):
                    self.battle.create(new.unit_type, new.owner, new.pos.x, new.pos.y)

    def _on_save_replay(self, request: Any, response: sc_pb.Response) -> None:
        response.save_replay.data = b"simulated replay"

    def _on_leave_game(self, request: Any, response: sc_pb.Response) -> None:
        self.status = sc_pb.launched


def _to_message(unit: Unit) -> sc_raw.Unit:
    own = unit.owner == AGENTS
    return sc_raw.Unit(
        display_type=sc_raw.Visible,
        alliance=sc_raw.Self if own else sc_raw.Enemy,
        tag=unit.tag,
        unit_type=unit.unit_type,
        owner=unit.owner,
        pos=sc_common.Point(x=unit.x, y=unit.y, z=10.0),
        radius=unit.kind.radius,
        build_progress=1.0,
        health=unit.health,
        health_max=unit.kind.health,
        shield=unit.shield,
        shield_max=unit.kind.shield,
        energy=unit.energy,
        energy_max=200.0 if unit.kind.energy else 0.0,
        weapon_cooldown=unit.cooldown,
    )


class _Controller(remote_controller.RemoteController):
    """pysc2's, but for the websocket."""

    def __init__(self, connection: _Socket) -> None:
        self._connection = connection
        super().__init__("simulated", 0)

    def _connect(self, host, port, proc, timeout_seconds) -> _Socket:
        return self._connection


class _Socket:
    """The part of a websocket that pysc2 uses."""

    def __init__(self, process: SimulatedProcess) -> None:
        self._process = process
        self._response = b""

    @property
    def sock(self) -> _Socket:
        return self

    def getpeername(self) -> tuple[str, int]:
        return "simulated", 0

    def send(self, message: bytes) -> None:
        request = sc_pb.Request.FromString(message)
        self._response = self._process.answer(request).SerializeToString()

    def recv(self) -> bytes:
        return self._response

    def close(self) -> None:
        self._response = b""
