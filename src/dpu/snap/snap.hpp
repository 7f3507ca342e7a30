// NVIDIA BlueField SNAP-4: functions are PCI functions of the host's bus, VFs
// or hot-plugged PFs; each function of ours has a subsystem of its own.
// Shapes and order of calls: docs/dpu-families.md.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dpu/spdk/functions.hpp"

namespace vnvme::dpu::snap {

using spdk::Plan;

struct SnapFunction {
  std::string vuid;
  std::string bdf;         // with domain; empty while the host cannot see it
  std::string controller;  // ctrl_id, empty when idle
  std::optional<std::uint64_t> vhca;
  bool hotplugged = false;
  bool virtual_function = false;
};

struct SnapController {
  std::string id;
  std::string state;  // "STARTED", "SUSPENDED", ...
  std::optional<std::uint64_t> vhca;
  bool plugged = false;
  std::vector<std::uint32_t> attached;  // nsids
};

struct SnapNamespace {
  std::uint32_t nsid = 0;
  std::string bdev, uuid;
};

struct SnapSubsystem {
  std::string nqn, serial;
  std::vector<SnapController> controllers;
  std::vector<SnapNamespace> namespaces;
};

struct SnapState {
  std::vector<SnapFunction> functions;
  std::vector<SnapSubsystem> subsystems;
};

Result<std::vector<SnapFunction>> decode_functions(std::string_view result);
Result<std::vector<SnapSubsystem>> decode_snap_subsystems(std::string_view result);
std::vector<Function> functions_of(const SnapState& state);
std::vector<Exposure> snap_exposures_of(const SnapState& state);

// The next step towards a goal; pure, see spdk/functions.hpp. VFs come first: a hot-plugged function is made
// only when no idle VF is left, and an idle hot-plugged one that the host does not see yet is taken before
// another one is made (it is what a crash between two steps leaves behind). `before`, when it is idle, comes
// before all others.
Plan plan_snap_open(const SnapState& state, const std::string& serial, bool can_create,
                    const FunctionId& before = {});
// `nqn` is remembered from the first round: with its controller a function loses the way to its subsystem.
Plan plan_snap_close(const SnapState& state, const FunctionId& id, std::string& nqn);
Plan plan_snap_expose(const SnapState& state, const Expose& want);
Plan plan_snap_unexpose(const SnapState& state, const FunctionId& id, std::uint32_t nsid);

}  // namespace vnvme::dpu::snap
