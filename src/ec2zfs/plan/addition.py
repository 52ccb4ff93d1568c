"""One more vdev for the pool, of the shape that the pool has already. Pure."""

from __future__ import annotations

from ec2zfs.errors import PoolUnwell, Refused
from ec2zfs.model.layout import Place
from ec2zfs.model.standing import Standing
from ec2zfs.plan.readying import device_path, newcomer, plan_readying
from ec2zfs.plan.replacement import AGAIN, Want
from ec2zfs.plan.upkeep import AddVdev, Step
from ec2zfs.plan.volumes import CreateVolume


def plan_addition(want: Want, standing: Standing) -> Step:
    """The next step towards the number of vdevs in the layout; none when the pool has them.

    Raises `Refused` when the layout and the pool differ in anything but that number, and `PoolUnwell` when the pool is
    not healthy.
    """
    layout, pool = standing.design.layout, standing.pool
    require_same_shape(standing)
    number = len(pool.vdevs) + 1
    if number > layout.vdevs:
        return ()
    if not pool.healthy:
        raise PoolUnwell(f"Pool {pool.name} is not healthy, and gets no vdev now.", hint=AGAIN)
    places = [Place(number, slot) for slot in range(1, layout.volumes_per_vdev + 1)]
    orders = [_order(want, standing, place) for place in places]
    step = plan_readying(standing, orders)
    if step:
        return step
    volumes = tuple(volume for place in places if (volume := newcomer(standing, place)))
    paths = tuple(device_path(standing, volume) for volume in volumes)
    return (AddVdev(layout.redundancy.value, volumes, paths),)


def require_same_shape(standing: Standing) -> None:
    """Raise `Refused` unless every vdev is what the layout says, and the pool has no more of them."""
    layout, pool = standing.design.layout, standing.pool
    for vdev in pool.vdevs:
        members = len(standing.places(vdev))
        if (vdev.kind, members) != (layout.redundancy.value, layout.volumes_per_vdev):
            raise Refused(
                f"Pool {pool.name} is made of {vdev.kind} of {members}, and the configuration says {layout.redundancy} "
                f"of {layout.volumes_per_vdev}: a vdev of another shape would be the weak one. Nothing was changed.",
                hint="Set pool.redundancy and pool.volumes_per_vdev to what the pool is made of.",
            )
    if len(pool.vdevs) > layout.vdevs:
        raise Refused(
            f"Pool {pool.name} has {len(pool.vdevs)} vdevs, and the configuration says {layout.vdevs}.",
            hint=f"A pool does not shrink: set pool.vdevs to {len(pool.vdevs)}, or more to add some.",
        )


def _order(want: Want, standing: Standing, place: Place) -> CreateVolume:
    volume = newcomer(standing, place)
    generation = volume.generation if volume else standing.next_generation(place)
    size = max(want.size_gib, volume.size_gib if volume else 0)
    return CreateVolume(standing.design.name, place, generation, size, want.type, want.zone)
