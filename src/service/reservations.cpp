#include "service/reservations.hpp"

#include "model/names.hpp"
#include "model/ownership.hpp"
#include "service/datapath_calls.hpp"
#include "service/spares.hpp"

namespace vnvme::service {
namespace {

constexpr std::string_view kByHand = "reserved-by-hand.";
constexpr std::size_t kNamed = 8;

using Spare = std::optional<ReservationRecord>;

std::string note_of(const VmId& vm) {
  return std::string(kByHand) + vm.value;
}

Result<void> check_serial(const Core& core, const ReservationRecord& wanted, const Spare& spare) {
  for (const auto& [key, r] : core.world.reservations())
    if (r.vm != wanted.vm && !(spare && r.vm == spare->vm) && r.serial == wanted.serial &&
        r.dpu == wanted.dpu)
      return fail(Errc::conflict, "VM " + r.vm.value + " has the serial " + r.serial + " that VM " +
                                      wanted.vm.value + " would get");
  return {};
}

// A spare becomes the VM's in the same commit.
std::vector<Change> first_changes(const ReservationRecord& record, ReservedBy by, const Spare& spare) {
  std::vector<Change> changes;
  if (spare) changes.push_back(EraseReservation{spare->vm, spare->dpu});
  changes.push_back(Put<ReservationRecord>{record});
  if (by == ReservedBy::hand) changes.push_back(PutNote{note_of(record.vm), record.dpu.value});
  return changes;
}

std::vector<Change> undone(const ReservationRecord& record, ReservedBy by, const Spare& spare) {
  std::vector<Change> changes{EraseReservation{record.vm, record.dpu}};
  if (by == ReservedBy::hand) changes.push_back(EraseNote{note_of(record.vm)});
  if (spare) changes.push_back(Put<ReservationRecord>{*spare});
  return changes;
}

// Who could give one back, so that nobody has to look for that.
Error with_holders(const Core& core, const DpuId& dpu, Error error) {
  std::size_t count = 0;
  std::string names;
  for (const auto& [key, r] : core.world.reservations())
    if (r.dpu == dpu && !r.function.empty() && !model::is_spare(r.vm) && ++count <= kNamed)
      names += (count == 1 ? "VM " : ", VM ") + r.vm.value;
  if (count > kNamed) names += " and " + std::to_string(count - kNamed) + " more (`vnvme functions`)";
  error.text += count == 0 ? "; no VM holds one, see `vnvme functions`"
                           : "; functions are held by " + names +
                                 ": take the vNVMe disks of one of them away, or raise the DPU's number";
  return error;
}

// As it is, when it is ready already: nobody has to wait for a hot-plug of somebody else's function then.
Task<Result<dpu::Function>> complete(Core& core, Link& link, ReservationRecord record, FunctionId expected,
                                     Deadline deadline) {
  auto functions = co_await link.dpu().list_functions(deadline);
  if (!functions) co_return fail(std::move(functions.error()));
  for (auto& f : *functions)
    if (f.id == expected && f.serial == record.serial && f.ready && !f.foreign) co_return std::move(f);
  auto lane = co_await link.functions_lane().acquire("reserve for VM " + record.vm.value, deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  co_return co_await own_function(core, link, record.serial, expected, deadline);
}

}  // namespace

std::set<VmId> reserved_by_hand(const Core& core) {
  std::set<VmId> out;
  for (const auto& [key, value] : core.world.notes())
    if (key.starts_with(kByHand)) out.insert(VmId(key.substr(kByHand.size())));
  return out;
}

Task<Result<dpu::Function>> reserve_function(Core& core, VmId vm, Link& link, ReservedBy by,
                                             Deadline deadline) {
  auto ready = co_await link.ready(deadline);
  if (!ready) co_return fail(std::move(ready.error()));
  auto guard = co_await core.guards.acquire("VM " + vm.value, "reserve", deadline);
  if (!guard) co_return fail(std::move(guard.error()));
  // Without a spare the serial is a function of the VM, so an interrupted reservation finds its function
  // again (C1).
  ReservationRecord record{vm, link.id(), FunctionId(), model::serial_of_vm(vm)};
  const ReservationRecord* known = core.world.reservation(vm, link.id());
  Lane::Hold claim;
  Spare spare;
  if (known != nullptr)
    record = *known;
  else
    spare = claim_spare(core, link.id(), claim);
  const bool fresh = record.function.empty();
  // Its function is the VM's when it was seen to be ready and bound; until then the record says which serial.
  FunctionId expected = record.function;
  if (spare) {
    expected = spare->function;
    record.serial = spare->serial;
  }
  auto unique = check_serial(core, record, spare);
  if (!unique) co_return fail(std::move(unique.error()));
  auto first = first_changes(record, by, spare);
  auto stored = co_await core.commit(std::move(first));
  if (!stored) co_return fail(std::move(stored.error()));
  if (spare) core.spares.notify();
  auto function = co_await complete(core, link, record, expected, deadline);
  if (!function) {
    if (function.error().outcome == Outcome::not_done && fresh) {
      auto back = undone(record, by, spare);
      (void)co_await core.commit(std::move(back));
    }
    if (function.error().code == Errc::no_space)
      co_return fail(with_holders(core, link.id(), std::move(function.error())));
    co_return fail(std::move(function.error()));
  }
  record.function = function->id;
  stored = co_await core.commit(Changes().put(record));
  if (!stored) co_return fail(std::move(stored.error()));
  if (!function->bdf.empty()) {
    auto bound = co_await core.ports.pci.bind_pciback(function->bdf, deadline);
    if (!bound) co_return fail(std::move(bound.error()));
  }
  if (fresh)
    core.event("info", "function " + function->id.value,
               "function " + function->id.value + " is reserved for VM " + vm.value);
  co_return function;
}

Task<Result<void>> release_functions(Core& core, VmId vm, Deadline deadline) {
  auto guard = co_await core.guards.acquire("VM " + vm.value, "unreserve", deadline);
  if (!guard) co_return fail(std::move(guard.error()));
  std::vector<ReservationRecord> mine;
  for (const auto& [key, r] : core.world.reservations())
    if (r.vm == vm) mine.push_back(r);
  for (const auto& [key, a] : core.world.attachments())
    if (a.owner == model::owner_of_vm(vm))
      co_return fail(Errc::in_use,
                     "VM " + vm.value + " still has volume " + a.volume.value + "; shut it down first");
  for (const ReservationRecord& r : mine) {
    auto link = core.link(r.dpu);
    if (!link) co_return fail(std::move(link.error()));
    auto ready = co_await (*link)->ready(deadline);
    if (!ready) co_return fail(std::move(ready.error()));
    auto lane = co_await (*link)->functions_lane().acquire("unreserve of VM " + vm.value, deadline);
    if (!lane) co_return fail(std::move(lane.error()));
    // The function first: as long as the record is there, this can be called again.
    if (!r.function.empty()) {
      auto closed = co_await (*link)->dpu().close_function(r.function, deadline);
      if (!closed) co_return fail(std::move(closed.error()));
    }
    std::vector<Change> gone{EraseReservation{vm, r.dpu}, EraseNote{note_of(vm)}};
    auto stored = co_await core.commit(std::move(gone));
    if (!stored) co_return fail(std::move(stored.error()));
  }
  co_return Result<void>{};
}

}  // namespace vnvme::service
