#include "service/toolstack.hpp"

#include "core/log.hpp"
#include "core/text.hpp"
#include "model/pci_list.hpp"
#include "service/cause.hpp"
#include "service/link.hpp"
#include "service/reservations.hpp"

namespace vnvme::service {
namespace {

using std::chrono::seconds;
constexpr auto kStep = seconds(10);
constexpr auto kWatch = seconds(10);   // at least so often everything is compared, whatever the events said
constexpr auto kAgain = seconds(1);    // after something did not work
constexpr auto kCalm = seconds(1);     // between two repairs of one VM's list: never fight
constexpr unsigned kFight = 5;         // repairs undone in a row before people are told
constexpr auto kPeace = seconds(60);   // without a repair, and the count begins anew
constexpr std::size_t kToldMost = 64;  // of one VM

}  // namespace

Task<void> Toolstack::run() {
  if (core_.ports.xapi == nullptr || core_.ports.watch == nullptr) co_return;
  bool clean = true;
  while (!core_.stopping()) {
    auto delta = co_await core_.ports.watch->next(
        Deadline::after(clean ? MonoClock::duration(kWatch) : MonoClock::duration(2 * kAgain)));
    if (core_.stopping()) break;
    if (!delta) {
      if (trouble_.empty()) log::warning("XAPI cannot be asked", {{"error", delta.error().describe()}});
      trouble_ = delta.error().text;
      co_await pause_for(kAgain);
      continue;
    }
    if (!trouble_.empty()) log::info("XAPI answers again", {});
    trouble_.clear();
    if (!core_.ports.watch->current()) continue;
    clean = co_await round();
    if (core_.stopping()) break;
    bool plugged = co_await pbds_.round();
    clean = clean && plugged;
  }
  looked.notify();  // whoever waits for a round: there is none any more
}

Task<model::HostFunctions> Toolstack::functions() {
  model::HostFunctions out;
  std::vector<Link*> links;
  for (const auto& [id, link] : core_.links())
    if (link->is_ready()) links.push_back(link.get());
  for (Link* link : links) {
    auto list = co_await link->dpu().list_functions(Deadline::after(kStep));
    if (!list) continue;
    for (auto& f : *list)
      if (!f.bdf.empty() && !f.foreign) out[f.bdf] = model::HostFunction{link->id(), f.id, f.serial};
  }
  co_return out;
}

Task<bool> Toolstack::round() {
  auto seen = co_await functions();
  auto plan = model::plan_toolstack(core_.ports.watch->picture(), core_.world, seen, reserved_by_hand(core_));
  bool clean = true;
  // First what could destroy data: lists that name another VM's function.
  for (model::VmPlan& vm : plan.vms) {
    if (vm.stripped.empty() || core_.stopping()) continue;
    bool done = co_await write(vm);
    clean = clean && done;
  }
  bool step = co_await reserve(plan.reserve);
  clean = clean && step;
  step = co_await release(plan.release);
  clean = clean && step;
  bool changed = !plan.reserve.empty() || !plan.release.empty();
  if (changed) {
    seen = co_await functions();
    plan = model::plan_toolstack(core_.ports.watch->picture(), core_.world, seen, reserved_by_hand(core_));
  }
  for (model::VmPlan& vm : plan.vms) {
    if (core_.stopping()) co_return false;
    if (!changed && !vm.stripped.empty()) continue;  // done above
    bool done = co_await write(vm);
    clean = clean && done;
  }
  auto idle = [&plan](const VmId& id) {
    return std::none_of(plan.vms.begin(), plan.vms.end(), [&](const auto& vm) { return vm.uuid == id; });
  };
  std::erase_if(told_, [&](const auto& entry) { return idle(entry.first); });
  std::erase_if(writes_, [&](const auto& entry) {
    return idle(entry.first) && MonoClock::now() - entry.second.last > kPeace;
  });
  shown_ = std::move(seen);
  looked.notify();
  co_return clean;
}

Task<bool> Toolstack::reserve(std::vector<std::pair<VmId, DpuId>> wanted) {
  bool clean = true;
  for (auto& [vm, dpu] : wanted) {
    auto link = core_.link(dpu);
    if (!link || !(*link)->is_ready() || core_.stopping()) {
      clean = false;
      continue;
    }
    auto done = co_await reserve_function(core_, vm, **link, ReservedBy::toolstack, Deadline::after(kStep));
    auto key = std::make_pair(vm, dpu);
    if (done) {
      refused_.erase(key);
      writes_.erase(vm);  // its list changes because of us, not because somebody undid it
      continue;
    }
    clean = false;
    std::string& known = refused_[key];
    const std::string cause = cause_of(done.error());
    if (known != cause)
      core_.event("error", "VM " + vm.value,
                  "no function could be reserved for VM " + vm.value + ": " + done.error().text);
    known = cause;
  }
  std::erase_if(refused_, [&](const auto& r) {
    return std::find(wanted.begin(), wanted.end(), r.first) == wanted.end();
  });
  co_return clean;
}

Task<bool> Toolstack::release(std::vector<VmId> vms) {
  bool clean = true;
  for (VmId& vm : vms) {
    if (core_.stopping()) co_return false;
    // XAPI may have forgotten a VM whose domain still runs.
    auto alive = co_await core_.ports.domains.domains_of(vm, Deadline::after(kStep));
    if (!alive || !alive->empty()) {
      clean = false;
      continue;
    }
    bool unlisted = co_await unlist(vm);
    if (!unlisted) {
      clean = false;
      continue;
    }
    auto done = co_await release_functions(core_, vm, Deadline::after(kStep));
    if (done) {
      core_.event("info", "VM " + vm.value, "VM " + vm.value + " needs no function any more");
      writes_.erase(vm);
    }
    clean = clean && done.has_value();
  }
  co_return clean;
}

// Before a function is closed, and may become another VM's: no list names it any more, and its VM did not
// begin to start since the picture was taken. A start after that finds a list without it, and fails clean.
Task<bool> Toolstack::unlist(VmId id) {
  const xapi::Vm* known = core_.ports.watch->picture().vm(id);
  if (known == nullptr) co_return true;
  xapi::Ref ref = known->ref;
  auto at = known->other_config.find("pci");
  std::string now = at == known->other_config.end() ? std::string() : at->second;
  auto seen = co_await functions();
  model::VmPlan plan;
  plan.ref = ref;
  plan.uuid = id;
  plan.pci =
      model::repaired_pci_list(now, {}, [&seen](const std::string& bdf) { return seen.contains(bdf); });
  if (plan.pci) {
    bool written = co_await write_pci(plan);
    if (!written) co_return false;
  }
  auto power = co_await core_.ports.xapi->get_power_state(std::move(ref), Deadline::after(kStep));
  if (!power) co_return power.error().code == Errc::not_found;
  co_return *power == xapi::PowerState::halted;
}

void Toolstack::tell(const model::VmPlan& vm) {
  std::set<std::string>& told = told_[vm.uuid];
  std::vector<std::string> texts = vm.problems;
  for (const std::string& bdf : vm.stripped)
    texts.push_back("function " + bdf + " is not reserved for VM " + vm.uuid.value + " (" +
                    printable(vm.name, 40) + ") and was taken out of its other-config:pci");
  for (const std::string& text : texts)
    if (told.size() < kToldMost && told.insert(text).second)
      core_.event("warning", "VM " + vm.uuid.value, text);
  // News again when it was right in between.
  std::erase_if(told, [&](const std::string& text) {
    return std::find(texts.begin(), texts.end(), text) == texts.end();
  });
}

Task<bool> Toolstack::write_pci(const model::VmPlan& vm) {
  xapi::Xapi& xapi = *core_.ports.xapi;
  Writes& mine = writes_[vm.uuid];
  auto since = MonoClock::now() - mine.last;
  bool first = mine.recent == 0;
  if (!first && since < kCalm) co_return false;
  if (since > kPeace) mine.recent = 0;
  if (++mine.recent == kFight)
    core_.event("warning", "VM " + vm.uuid.value,
                "something keeps rewriting other-config:pci of VM " + vm.uuid.value +
                    "; vnvme repairs it once a second. Until it stops, do not start the VM");
  mine.last = MonoClock::now();
  Result<void> done;
  std::string key = "pci";
  if (vm.pci->empty())
    done = co_await xapi.remove_key(xapi::Class::vm, vm.ref, xapi::Field::other_config, std::move(key),
                                    Deadline::after(kStep));
  else
    done = co_await xapi.set_key(xapi::Class::vm, vm.ref, xapi::Field::other_config, std::move(key), *vm.pci,
                                 Deadline::after(kStep));
  if (!done && done.error().code != Errc::not_found)
    log::warning("other-config:pci could not be written",
                 {{"vm", vm.uuid.value}, {"error", done.error().describe()}});
  co_return done.has_value() || done.error().code == Errc::not_found;
}

Task<bool> Toolstack::move_vbds(const model::VmPlan& vm) {
  xapi::Xapi& xapi = *core_.ports.xapi;
  bool clean = true;
  for (const auto& [vbd, uuid] : vm.move) {
    auto free = co_await xapi.get_allowed_VBD_devices(vm.ref, Deadline::after(kStep));
    if (!free) co_return false;
    auto high = std::find_if(free->begin(), free->end(), [](const std::string& number) {
      return number.size() > 1 || (number.size() == 1 && number[0] >= '4' && number[0] <= '9');
    });
    if (high == free->end()) co_return false;
    std::string number = *high;
    auto moved = co_await xapi.set_userdevice(vbd, number, Deadline::after(kStep));
    clean = clean && moved.has_value();
    if (moved)
      core_.event("info", "VM " + vm.uuid.value,
                  "VBD " + uuid + " of VM " + vm.uuid.value + " was moved to userdevice " + number +
                      ": below 4 the guest would see vnvme's marker as a disk");
  }
  co_return clean;
}

Task<bool> Toolstack::write(model::VmPlan vm) {
  xapi::Xapi& xapi = *core_.ports.xapi;
  tell(vm);
  bool clean = true;
  if (vm.pci) clean = co_await write_pci(vm);
  for (const auto& [operation, why] : vm.block) {
    auto done = co_await xapi.set_key(xapi::Class::vm, vm.ref, xapi::Field::blocked_operations, operation,
                                      why, Deadline::after(kStep));
    clean = clean && done.has_value();
  }
  for (const std::string& operation : vm.unblock) {
    auto done = co_await xapi.remove_key(xapi::Class::vm, vm.ref, xapi::Field::blocked_operations, operation,
                                         Deadline::after(kStep));
    clean = clean && done.has_value();
  }
  bool moved = co_await move_vbds(vm);
  co_return clean&& moved;
}

}  // namespace vnvme::service
