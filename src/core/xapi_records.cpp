// The values of the XAPI port.
#include "vnvme/xapi.hpp"

namespace vnvme::xapi {
namespace {

template <class R>
std::size_t count_in(const std::map<Ref, R>& records, Class c,
                     const std::map<std::pair<Class, Ref>, std::string>& unreadable) {
  auto n = records.size();
  for (const auto& [key, why] : unreadable)
    if (key.first == c && !records.contains(key.second)) ++n;
  return n;
}

}  // namespace

std::string_view to_string(Class c) noexcept {
  switch (c) {
    case Class::vm:
      return "VM";
    case Class::vbd:
      return "VBD";
    case Class::vdi:
      return "VDI";
    case Class::sr:
      return "SR";
    case Class::pbd:
      return "PBD";
    case Class::host:
      return "host";
    case Class::pool:
      return "pool";
  }
  return "?";
}

std::string_view to_string(PowerState s) noexcept {
  switch (s) {
    case PowerState::halted:
      return "Halted";
    case PowerState::paused:
      return "Paused";
    case PowerState::running:
      return "Running";
    case PowerState::suspended:
      return "Suspended";
  }
  return "?";
}

const Ref& ref_of(const Record& record) noexcept {
  return std::visit([](const auto& one) -> const Ref& { return one.ref; }, record);
}

std::size_t Picture::count(Class c) const {
  switch (c) {
    case Class::vm:
      return count_in(vms, c, unreadable);
    case Class::vbd:
      return count_in(vbds, c, unreadable);
    case Class::vdi:
      return count_in(vdis, c, unreadable);
    case Class::sr:
      return count_in(srs, c, unreadable);
    case Class::pbd:
      return count_in(pbds, c, unreadable);
    case Class::host:
      return count_in(hosts, c, unreadable);
    case Class::pool:
      return count_in(pools, c, unreadable);
  }
  return 0;
}

const Vm* Picture::vm(const VmId& uuid) const {
  for (const auto& [ref, one] : vms)
    if (one.uuid == uuid) return &one;
  return nullptr;
}

}  // namespace vnvme::xapi
