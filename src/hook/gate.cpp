#include "hook/gate.hpp"

#include <algorithm>

namespace vnvme::hook {
namespace {

using gate::PciAddress;
constexpr std::size_t kMostNamed = 8;    // addresses in one sentence
constexpr std::size_t kNameLimit = 120;  // bytes of a DPU's name

// Whatever stands in the file, the sentence is one line of printable text.
std::string shown(const std::string& name) {
  std::string out;
  for (char c : name.substr(0, kNameLimit)) out += c >= 0x20 && c < 0x7f ? c : '?';
  return out;
}

bool has(const std::vector<PciAddress>& all, PciAddress one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

std::string begin(const std::string& vm) {
  return "VM " + vm + " was not started: ";
}

// An address that two DPUs claim is nobody's for certain: each row of it must be this VM's.
Verdict check_strangers(const std::string& vm, const gate::Reservations& all, const PciList& list) {
  for (const gate::Function& f : all.functions) {
    if (f.vm == vm || (!has(list.plugged, f.address) && !has(list.named, f.address))) continue;
    std::string address = to_text(f.address);
    std::string whose = f.vm.empty() ? "reserved for no VM"
                                     : "reserved for VM " + shown(f.vm) + ", whose drive would be reset";
    return {kStranger,
            begin(vm) + "PCI function " + address + " in its list belongs to vnvme and is " + whose +
                "; take " + address +
                " out of this VM's other-config:pci (vnvmed does so within seconds "
                "while it follows XAPI), then start it again",
            {}};
  }
  return {};
}

Verdict check_awaited(const std::string& vm, const gate::Reservations& all) {
  for (const gate::Awaited& a : all.awaited) {
    if (a.vm != vm) continue;
    std::string dpu = "DPU " + shown(a.dpu);
    std::string text;
    switch (a.why) {
      case gate::Why::opening:
        text = "its vNVMe function on " + dpu +
               " is still being prepared; start it again in a few seconds, and see `vnvme events` if that "
               "does not help";
        break;
      case gate::Why::unseen:
        text = dpu +
               " has not shown its functions since this host booted, so the address of the VM's function is "
               "not known; start the VM again when `vnvme dpu` shows that DPU as connected";
        break;
      case gate::Why::gone:
        text = dpu +
               " no longer shows the function that is reserved for it; see `vnvme functions` and `vnvme "
               "events`, then start it again";
        break;
    }
    return {kAwaited, begin(vm) + text, {}};
  }
  return {};
}

Verdict check_complete(const std::string& vm, const gate::Reservations& all, const PciList& list) {
  std::string missing;
  std::size_t count = 0;
  for (const gate::Function& f : all.functions)
    if (f.vm == vm && !has(list.plugged, f.address) && ++count <= kMostNamed)
      missing += (missing.empty() ? "" : ", ") + to_text(f.address);
  if (count == 0) return {};
  return {kLacking,
          begin(vm) + "its vNVMe function " + missing +
              " was not in its PCI list when the start began; vnvmed writes other-config:pci within seconds "
              "while it follows XAPI, so start it again, and if that does not help add " +
              missing + " to other-config:pci, or give it back with `vnvme unreserve " + vm + "`",
          {}};
}

bool is_named(const std::string& vm, const gate::Reservations& all) {
  return std::any_of(all.functions.begin(), all.functions.end(), [&](const auto& f) { return f.vm == vm; }) ||
         std::any_of(all.awaited.begin(), all.awaited.end(), [&](const auto& a) { return a.vm == vm; });
}

Verdict check_stale(const std::string& vm, const gate::Reservations& all) {
  if (!is_named(vm, all)) return {kStart, {}, "the file of reservations is of an earlier boot of this host"};
  return {kStale,
          begin(vm) +
              "it has a vNVMe function, whose address was last checked before this host booted; start "
              "vnvmed (systemctl start vnvmed), then the VM",
          {}};
}

}  // namespace

Verdict decide(const std::string& vm, const File& file, const PciList& list) {
  switch (file.state) {
    case File::State::absent:
      return {kStart, {}, "there is no file of reservations, so nothing was checked; has vnvmed run?"};
    case File::State::unusable:
      return {kStart, {}, "nothing was checked, because of the file of reservations: " + file.problem};
    case File::State::whole:
      break;
  }
  const gate::Reservations& all = file.content;
  if (all.boot != file.boot) return check_stale(vm, all);
  Verdict verdict = check_awaited(vm, all);
  if (!list.known) {
    // Without the list there is nothing to compare; Datapath.attach still checks the reservation.
    if (verdict.code == kStart && is_named(vm, all))
      verdict.note = "it has a vNVMe function, but its PCI list was not checked: " + list.problem;
    return verdict;
  }
  auto strangers = check_strangers(vm, all, list);
  if (strangers.code != kStart) return strangers;
  if (verdict.code == kStart) verdict = check_complete(vm, all, list);
  if (verdict.code == kStart) verdict.note = list.problem;
  return verdict;
}

}  // namespace vnvme::hook
