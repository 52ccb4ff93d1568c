"""Carries out the plan of one dataset: stream by stream, with a fresh look and a fresh plan after whatever was
not foreseen. A connection that was lost is opened again, and the stream goes on where it was cut.

It drops partial state only when the token is still the one that was judged. It never rolls back, and never destroys a
snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ec2zfs.errors import CommandFailed, Ec2zfsError, HostError, HostKeyChanged, HostKeyUnknown, ReplicationConflict
from ec2zfs.execute.carrier import Carriage
from ec2zfs.execute.replication_report import Sent
from ec2zfs.execute.replication_state import with_token
from ec2zfs.hosts.host import Host, Stage
from ec2zfs.model.line import Line
from ec2zfs.plan.conflicts import conflict_error
from ec2zfs.plan.replication import Common, DatasetPlan, plan_dataset
from ec2zfs.plan.replication_steps import (
    CreateParent,
    DropPartial,
    Mark,
    RenameCopy,
    Resume,
    Step,
    TokenForeign,
    Transfer,
)
from ec2zfs.plan.selection import Selection
from ec2zfs.tools import zfs_repair
from ec2zfs.tools.zfs import Zfs
from ec2zfs.tools.zfs_holds import with_keepers
from ec2zfs.tools.zfs_streams import busy, meaning, receive_command, send_command

SETBACKS = 5
"""Failures of one dataset after which it is given up for this run; also losses of a connection without a byte between.
The pauses for a busy dataset, or a host that does not answer, add up to 62 s."""


@dataclass(frozen=True)
class Ends:
    """The two ends of replication, what carries between them, who is told of it, what is to be carried, and how to wait
    (seconds).
    """

    site: Host
    receiver: Host
    carriage: Carriage
    say: Callable[[str], None]
    selection: Selection
    pause: Callable[[float], None]


def later(before: Mark | None, mark: Mark) -> Mark:
    """The one step that does what two do that follow each other."""
    outdated = (*before.outdated, *mark.outdated) if before else mark.outdated
    return replace(mark, outdated=tuple(dict.fromkeys(name for name in outdated if name != mark.cursor)))


@dataclass
class ReplicaRun:
    """One dataset's way. `sent` and `warnings` grow as it goes on, and hold what was done when it fails.

    `plan` is what is left to do, and where both sides stand by then; `renamed` how the copy was, if it was. `meter`
    hears of bytes, `watch` of each stream's line and None at its end, and `founded` of a parent that was created:
    others may now stand below it. The last stream is still `unchecked`, and its snapshot `unmarked`, when the run has
    ended: that is done for all datasets together.
    """

    ends: Ends
    plan: DatasetPlan
    meter: Callable[[int], None]
    watch: Callable[[Line | None], None]
    founded: Callable[[str], None]
    sent: list[Sent] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unchecked: Transfer | None = None
    unmarked: Mark | None = None
    setbacks: int = 0
    losses: int = 0
    doubted: str = ""
    renamed: RenameCopy | None = None

    def run(self) -> None:
        """Carry the plan out, planning again where the world is not as it was. Raises what cannot be got over."""
        while self.plan.steps:
            step = self.plan.steps[0]
            try:
                self._do(step)
            except CommandFailed as error:
                self.plan = self._plan_after(step, error)
                continue
            except HostError as error:
                self.plan = self._plan_after_loss(error)
                continue
            foreseen = not isinstance(step, Resume | DropPartial | RenameCopy)
            self.plan = replace(self.plan, steps=self.plan.steps[1:]) if foreseen else self._new_plan()

    def _do(self, step: Step) -> None:
        if isinstance(step, CreateParent):
            Zfs(self.ends.receiver).create_parent(step.name)
            self.founded(step.name)
        elif isinstance(step, RenameCopy):
            self.ends.say(str(step))
            zfs_repair.rename(self.ends.receiver, step.old, step.new)
        elif isinstance(step, DropPartial):
            self._drop(step.fault)
        elif isinstance(step, Mark):
            self.unmarked = later(self.unmarked, step)
        else:
            self._transfer(step)

    def _transfer(self, step: Transfer) -> None:
        self.ends.say(str(step))
        moved = [0]

        def heard(amount: int) -> None:
            moved[0] += amount
            self.losses = 0
            self.meter(amount)

        sender = Stage(self.ends.site, send_command(step))
        receiver = Stage(self.ends.receiver, receive_command(step))
        try:
            self.ends.carriage.of(step.bytes).carry(sender, receiver, heard, self.watch)
        finally:
            self.watch(None)
        self.unchecked = step
        self.sent.append(Sent(str(step), step.base.name if step.base else "", step.to.name, moved[0]))
        copy = step.to._replace(dataset=step.replica.target)
        self.plan = replace(self.plan, common=Common(step.to, copy, bookmarked=False))

    def _drop(self, fault: TokenForeign) -> None:
        target = self.plan.replica.target
        zfs = Zfs(self.ends.receiver)
        if zfs.resume_token(target) == fault.token.text:
            self.ends.say(str(DropPartial(target, fault)))
            zfs.drop_partial(target)
        else:
            self._count_setback(ReplicationConflict(f"Somebody else receives into {target} at the same time."))

    def _plan_after(self, step: Step, error: CommandFailed) -> DatasetPlan:
        """The plan after a failure, or the failure itself when doing the same again would not help."""
        told = meaning(error, self.plan.replica)
        self._count_setback(self._with_keepers(error) if busy(error) else told)
        if busy(error):
            self.ends.say(f"{self.plan.replica.target} is still busy; waiting for it")
            self.ends.pause(2.0**self.setbacks)
            return self._new_plan()
        if told is not error or not isinstance(step, Transfer | DropPartial):
            raise told
        if isinstance(step, Resume):
            self._doubt(step, error)
            return self._new_plan()
        fresh = self._new_plan()
        if step in fresh.steps[:2]:
            raise error
        return fresh

    def _with_keepers(self, error: CommandFailed) -> CommandFailed:
        """The failure of a busy target; when it is given up, with who holds the snapshot that is received onto."""
        if self.setbacks < SETBACKS or self.plan.common is None:
            return error
        return with_keepers(self.ends.receiver, error, str(self.plan.common.copy))

    def _plan_after_loss(self, error: HostError) -> DatasetPlan:
        """The plan once both hosts answer again; the loss itself when they do not, or must not be spoken to."""
        lost = error
        while True:
            if isinstance(lost, HostKeyChanged | HostKeyUnknown):
                raise lost
            self.losses += 1
            if self.losses > SETBACKS:
                raise error
            self.ends.say(f"{lost} Trying again.")
            self.ends.pause(2.0**self.losses)
            try:
                return self._new_plan()
            except HostError as again:
                lost = again

    def _doubt(self, step: Resume, error: CommandFailed) -> None:
        """A token that failed twice without a byte of progress is dropped; one whose program was killed is innocent."""
        if step.token.text == self.doubted and 0 < error.status < 128:
            self._drop(TokenForeign(step.token, f"it could not be continued: {error.stderr.strip()}"))
        self.doubted = step.token.text

    def _count_setback(self, error: Ec2zfsError) -> None:
        self.setbacks += 1
        if self.setbacks > SETBACKS:
            raise error

    def _new_plan(self) -> DatasetPlan:
        """Look at both sides of this dataset again and decide again."""
        replica = self.plan.replica
        source = Zfs(self.ends.site).dataset(replica.source)
        target = Zfs(self.ends.receiver).dataset(replica.target)
        if source is None:
            return DatasetPlan(replica, note="it does not exist any more")
        moving = next((step for step in self.plan.steps if isinstance(step, RenameCopy)), None)
        if moving and target is None:
            return self.plan  # its copy stands under its old name still: a first copy would be a second one
        self.renamed = moving or self.renamed
        chosen = self.ends.selection.of(source, target)
        plan = plan_dataset(replica, chosen, target and with_token(self.ends.site, target))
        if plan.conflict:
            raise conflict_error(plan.conflict)
        return plan
