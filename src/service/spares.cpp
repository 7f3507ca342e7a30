#include "service/spares.hpp"

#include "core/log.hpp"
#include "model/names.hpp"
#include "service/cause.hpp"
#include "service/datapath_calls.hpp"

namespace vnvme::service {
namespace {

using std::chrono::seconds;
constexpr auto kStep = seconds(30);
constexpr auto kWatch = seconds(10);

std::vector<ReservationRecord> spares_of(const Core& core, const DpuId& dpu) {
  std::vector<ReservationRecord> out;
  for (const auto& [key, r] : core.world.reservations())
    if (r.dpu == dpu && model::is_spare(r.vm)) out.push_back(r);
  return out;
}

std::optional<Lane::Hold> claim_of(Core& core, const ReservationRecord& spare, std::string what) {
  return core.guards.try_acquire("spare function " + spare.serial, std::move(what));
}

// A VM may have taken it since it was looked at: then it is that VM's, and nothing here is done with it.
bool is_still_spare(const Core& core, const ReservationRecord& spare) {
  const ReservationRecord* now = core.world.reservation(spare.vm, spare.dpu);
  return now != nullptr && now->function == spare.function;
}

Task<Result<void>> close_claimed(Core& core, Link& link, ReservationRecord spare, Deadline deadline) {
  // The function first: as long as the record is there, this can be done again.
  if (!spare.function.empty()) {
    auto closed = co_await link.dpu().close_function(spare.function, deadline);
    if (!closed) co_return closed;
  }
  co_return co_await core.commit(Changes().erase_reservation(spare.vm, spare.dpu));
}

}  // namespace

std::optional<ReservationRecord> claim_spare(Core& core, const DpuId& dpu, Lane::Hold& claim) {
  for (ReservationRecord& spare : spares_of(core, dpu)) {
    if (spare.function.empty()) continue;
    auto hold = claim_of(core, spare, "given to a VM");
    if (!hold) continue;
    claim = std::move(*hold);
    return std::move(spare);
  }
  return std::nullopt;
}

Task<bool> give_up_spare(Core& core, Link& link, Deadline deadline) {
  Lane::Hold claim;
  auto spare = claim_spare(core, link.id(), claim);
  if (!spare) co_return false;
  auto closed = co_await close_claimed(core, link, std::move(*spare), deadline);
  co_return closed.has_value();
}

Task<void> Spares::run() {
  if (core_.ports.xapi == nullptr) co_return;
  while (!core_.stopping()) {
    auto before = core_.spares.count();
    (void)co_await round();
    if (core_.stopping()) break;
    if (core_.spares.count() == before) co_await core_.spares.wait(Deadline::after(kWatch));
  }
}

Task<bool> Spares::round() {
  bool all = true;
  std::vector<Link*> links;
  for (const auto& [id, link] : core_.links())
    if (link->is_ready() && link->dpu().capabilities().pci_functions) links.push_back(link.get());
  for (Link* link : links) {
    if (core_.stopping()) co_return false;
    auto level_now = co_await level(*link);
    if (level_now) {
      refused_.erase(link->id());
      continue;
    }
    all = false;
    std::string& known = refused_[link->id()];
    const std::string cause = cause_of(level_now.error());
    if (known != cause)
      core_.event("warning", "dpu " + link->id().value,
                  "DPU " + link->id().value +
                      " has fewer spare functions than it should, so VMs may wait for theirs: " +
                      level_now.error().text);
    known = cause;
  }
  co_return all;
}

// A DPU that was restarted has lost them: they are opened again, after those of running guests.
Task<Result<void>> Spares::look(Link& link) {
  auto generation = link.dpu().generation();
  if (seen_[link.id()] == generation) co_return Result<void>{};
  auto functions = co_await link.dpu().list_functions(Deadline::after(kStep));
  if (!functions) co_return fail(std::move(functions.error()));
  for (ReservationRecord& spare : spares_of(core_, link.id())) {
    auto same = [&spare](const dpu::Function& f) {
      return f.id == spare.function && f.serial == spare.serial && f.ready;
    };
    if (spare.function.empty() || std::any_of(functions->begin(), functions->end(), same)) continue;
    if (!is_still_spare(core_, spare)) continue;
    auto opened = co_await open(link, std::move(spare));
    if (!opened) co_return opened;
  }
  seen_[link.id()] = generation;
  co_return Result<void>{};
}

Task<Result<void>> Spares::level(Link& link) {
  auto looked = co_await look(link);
  if (!looked) co_return looked;
  std::size_t have = 0;
  for (ReservationRecord& spare : spares_of(core_, link.id())) {
    if (core_.stopping()) break;
    if (have < core_.options.spare_functions) {
      ++have;
      if (!spare.function.empty()) continue;
      auto opened = co_await open(link, std::move(spare));
      if (!opened) co_return opened;
      continue;
    }
    auto claim = claim_of(core_, spare, "closing");
    if (!claim || !is_still_spare(core_, spare)) continue;
    auto lane = co_await link.functions_lane().acquire("closing a spare function", Deadline::after(kStep));
    if (!lane) co_return fail(std::move(lane.error()));
    auto closed = co_await close_claimed(core_, link, std::move(spare), Deadline::after(kStep));
    if (!closed) co_return closed;
  }
  for (; have < core_.options.spare_functions && !core_.stopping(); ++have) {
    std::string serial = model::serial_of_vm(VmId(random_uuid()));
    ReservationRecord spare{model::spare_holder(serial), link.id(), FunctionId(), serial};
    auto opened = co_await open(link, std::move(spare));
    if (!opened) co_return opened;
  }
  co_return Result<void>{};
}

// Idempotent by serial: the record is there before the function, and says which one it is.
Task<Result<void>> Spares::open(Link& link, ReservationRecord spare) {
  auto claim = claim_of(core_, spare, "opening");
  if (!claim) co_return Result<void>{};
  auto stored = co_await core_.commit(Changes().put(spare));
  if (!stored) co_return stored;
  auto lane = co_await link.functions_lane().acquire("opening a spare function", Deadline::after(kStep));
  if (!lane) co_return fail(std::move(lane.error()));
  auto function = co_await own_function(core_, link, spare.serial, spare.function, Deadline::after(kStep));
  if (!function) {
    if (function.error().outcome == Outcome::not_done)
      (void)co_await core_.commit(Changes().erase_reservation(spare.vm, spare.dpu));
    co_return fail(std::move(function.error()));
  }
  // Bound before it may be given away: dom0's driver never sees a guest's namespace (I4).
  if (!function->bdf.empty()) {
    auto bound = co_await core_.ports.pci.bind_pciback(function->bdf, Deadline::after(kStep));
    if (!bound) co_return bound;
  }
  spare.function = function->id;
  stored = co_await core_.commit(Changes().put(spare));
  if (stored)
    log::info("a spare function is ready", {{"function", spare.function.value}, {"bdf", function->bdf}});
  co_return stored;
}

}  // namespace vnvme::service
