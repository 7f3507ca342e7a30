#include "service/place.hpp"

namespace vnvme::service {

Result<SrRecord> usable_sr(const Core& core, const SrId& id) {
  const SrRecord* sr = core.world.sr(id);
  if (sr == nullptr)
    return fail(Errc::not_found,
                "SR " + id.value + " is not known to vnvme on this host; plug its PBD first");
  if (sr->state != SrState::ready)
    return fail(Errc::busy,
                "SR " + id.value + " is being " + (sr->state == SrState::creating ? "created" : "destroyed"));
  if (!sr->attached)
    return fail(Errc::not_permitted, "SR " + id.value + " is not attached; plug its PBD first");
  return *sr;
}

Result<SrRecord> listable_sr(const Core& core, const SrId& id) {
  auto sr = usable_sr(core, id);
  if (sr && sr->adopted)
    return fail(Errc::rebuilding,
                "the records of SR " + id.value +
                    " were lost and are being rebuilt from the DPU: names and keys are missing. "
                    "Restore /var/lib/vnvme/state.db from its copy, or accept the loss with `vnvme adopt "
                    "--accept-missing`");
  return sr;
}

Task<Result<Place>> place_of(Core& core, SrId id, Deadline deadline) {
  auto sr = listable_sr(core, id);
  if (!sr) co_return fail(std::move(sr.error()));
  auto link = core.link(sr->dpu);
  if (!link) co_return fail(std::move(link.error()));
  auto ready = co_await (*link)->ready(deadline);
  if (!ready) co_return fail(std::move(ready.error()));
  if ((*link)->view(sr->pool) == nullptr)
    co_return fail(Errc::unreachable,
                   "the pool of SR " + id.value + " is not on DPU " + sr->dpu.value +
                       ": a drive may be missing. Nothing is forgotten; see `vnvme pools`");
  co_return Place{std::move(*sr), *link};
}

Link* ready_link(const Core& core, const SrId& id) {
  const SrRecord* sr = core.world.sr(id);
  if (sr == nullptr) return nullptr;
  auto it = core.links().find(sr->dpu);
  return it == core.links().end() || !it->second->is_ready() ? nullptr : it->second.get();
}

Result<VolumeRecord> visible_volume(const Core& core, const SrId& sr, const VolumeId& volume) {
  const VolumeRecord* v = core.world.visible(sr, volume);
  if (v != nullptr) return *v;
  return fail(Errc::not_found, "there is no volume " + volume.value + " in SR " + sr.value);
}

smapi::Volume shown(const VolumeRecord& v, const dpu::DpuVolume* seen) {
  smapi::Volume out;
  out.key = v.id;
  out.sr = v.sr;
  out.name = v.name;
  out.description = v.description;
  out.read_write = v.kind == VolumeKind::data;
  out.sharable = v.sharable;
  out.virtual_size = v.size;
  out.physical_utilisation = seen != nullptr && seen->allocated ? *seen->allocated : v.size;
  out.keys = v.keys;
  return out;
}

smapi::Volume shown(const Core& core, const VolumeRecord& v) {
  const dpu::DpuVolume* seen = nullptr;
  if (const SrRecord* sr = core.world.sr(v.sr)) {
    auto it = core.links().find(sr->dpu);
    const PoolView* view =
        it == core.links().end() ? nullptr : static_cast<const Link&>(*it->second).view(sr->pool);
    if (view != nullptr) {
      auto found = view->volumes.find(v.dpu_id.value);
      if (found != view->volumes.end()) seen = &found->second;
    }
  }
  return shown(v, seen);
}

}  // namespace vnvme::service
