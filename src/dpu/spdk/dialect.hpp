// What this target speaks, asked of it once a session. Versions differ in
// names of parameters, and one unknown key fails the whole call.
#pragma once
#include <set>
#include <string>
#include <string_view>

#include "vnvme/dpu.hpp"
#include "vnvme/result.hpp"

namespace vnvme::dpu::spdk {

struct Dialect {
  std::set<std::string, std::less<>> methods;
  Identity identity;
  bool size_in_mib = true;    // bdev_lvol_create/resize: size_in_mib (from v23.05 on), else size in bytes
  bool iostat_names = true;   // bdev_get_iostat: names (from v26.01 on), else name
  bool lvol_listing = false;  // bdev_lvol_get_lvols (from v23.05 on): cheap listing
  bool snap = false;          // NVIDIA SNAP-4: functions are PCI functions
  bool nvmf = false;          // functions are NVMe-oF subsystems

  [[nodiscard]] bool has(std::string_view method) const { return methods.contains(method); }
};

// methods: result of rpc_get_methods. version: result of spdk_get_version.
Result<Dialect> make_dialect(std::string_view methods, std::string_view version);
Capabilities capabilities_of(const Dialect& dialect);

}  // namespace vnvme::dpu::spdk
