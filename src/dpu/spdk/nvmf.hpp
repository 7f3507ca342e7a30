// nvmf_* : subsystems, namespaces, listeners; and the function driver made of them.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "dpu/spdk/functions.hpp"

namespace vnvme::dpu::spdk {

struct NvmfNamespace {
  std::uint32_t nsid = 0;
  std::string bdev;  // an lvol's uuid, or another bdev's name
  std::string uuid, nguid;
};

struct NvmfSubsystem {
  std::string nqn;
  std::string serial;
  std::uint32_t max_namespaces = 0;
  std::vector<Listener> listeners;
  std::vector<NvmfNamespace> namespaces;
};

using NvmfState = std::vector<NvmfSubsystem>;  // without discovery subsystems
Result<NvmfState> decode_subsystems(std::string_view result);
Task<Result<NvmfState>> get_subsystems(Target& target, Deadline deadline);
// Everything that is exported through NVMe-oF; `foreign` for what is not ours.
std::vector<Exposure> exposures_of(const NvmfState& state);

// Pure decisions of the driver (see functions.hpp).
Plan plan_nvmf_open(const NvmfState& state, const std::string& serial,
                    const std::optional<Listener>& listener);
Plan plan_nvmf_close(const NvmfState& state, const FunctionId& id);
Plan plan_nvmf_expose(const NvmfState& state, const Expose& want);
Plan plan_nvmf_unexpose(const NvmfState& state, const FunctionId& id, std::uint32_t nsid);

}  // namespace vnvme::dpu::spdk
