// How a target presents volumes to the host. Two drivers: NVMe-oF subsystems
// (any SPDK) and PCI functions (NVIDIA SNAP-4). Both work by convergence: list,
// decide the next step, do it, list again. So "already exists" is decided by
// looking, a half-done attempt is completed, and a teardown re-checks ownership
// right before each step.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dpu/spdk/target.hpp"
#include "vnvme/dpu.hpp"

namespace vnvme::dpu::spdk {

// Only what bears this prefix is ours.
inline constexpr std::string_view kNqnPrefix = "nqn.2026-11.io.vnvme:f-";

// At most 20 characters that are legal in an NQN and in a serial number field alike.
Result<std::string> nqn_of_serial(std::string_view serial);
inline bool ours(std::string_view nqn) {
  return nqn.starts_with(kNqnPrefix);
}

// Where functions that are NVMe-oF subsystems listen; without one they have no listener (nobody can connect).
struct Listener {
  std::string trtype = "TCP", adrfam = "IPv4", traddr, trsvcid;
};

class FunctionDriver {
 public:
  virtual ~FunctionDriver() = default;
  virtual Task<Result<std::vector<Function>>> functions(Deadline) = 0;
  virtual Task<Result<Function>> open(std::string serial, FunctionId before, Keep lane, Deadline) = 0;
  virtual Task<Result<void>> close(FunctionId, Keep lane, Deadline) = 0;
  virtual Task<Result<std::vector<Exposure>>> exposures(Deadline) = 0;
  virtual Task<Result<void>> expose(Expose, Keep lane, Deadline) = 0;
  virtual Task<Result<void>> unexpose(FunctionId, std::uint32_t nsid, Keep lane, Deadline) = 0;
};

std::unique_ptr<FunctionDriver> make_nvmf_functions(Target& target, std::optional<Listener> listener);
std::unique_ptr<FunctionDriver> make_snap_functions(Target& target);

// What to do next: a step, or a refusal, or (neither) nothing: the goal is reached.
struct Plan {
  std::optional<Step> step;
  std::optional<Error> refusal;
  static Plan done() { return {}; }
  static Plan go(Step next) { return {std::move(next), std::nullopt}; }
  static Plan refuse(Errc code, std::string text) {
    return {std::nullopt, Error{.code = code, .text = std::move(text)}};
  }
};

inline constexpr int kMaxSteps = 16;

// Lists and steps until the plan says done; gives the last state. A step that was refused by the target is
// looked at again: if the next plan wants the very same step, the refusal stands. When nobody can tell
// whether a step happened (outcome unknown) that error is returned at once.
template <class State>
Task<Result<State>> converge(Target& target, std::function<Task<Result<State>>()> list,
                             std::function<Plan(const State&)> plan, Keep lane, Deadline deadline) {
  std::optional<Error> refused;
  std::string refused_step, done_step;
  bool changed = false;
  // After a first step a failure is no longer "nothing happened": the goal is half reached.
  auto give_up = [&changed](Error error) {
    if (changed) error.outcome = Outcome::unknown;
    return fail(std::move(error));
  };
  for (int i = 0; i < kMaxSteps; ++i) {
    auto state = co_await list();
    if (!state) co_return give_up(std::move(state.error()));
    auto next = plan(*state);
    if (next.refusal) {
      next.refusal->peer = target.endpoint();
      if (refused) next.refusal->text += " (the DPU said: " + refused->text + ")";
      co_return give_up(std::move(*next.refusal));
    }
    if (!next.step) co_return state;
    auto name = next.step->method + next.step->object;
    if (refused && refused_step == name) co_return give_up(std::move(*refused));
    // Said to be done, and still to be done: repeating it might make one more each time.
    if (name == done_step)
      co_return give_up(Error{
          .code = Errc::conflict,
          .text = "the DPU said that " + next.step->method + " is done, but its listing does not show it",
          .step = next.step->method,
          .peer = target.endpoint()});
    refused.reset();
    auto answer = co_await target.change(*next.step, lane, deadline);
    if (answer) {
      changed = true;
      done_step = std::move(name);
      continue;
    }
    // No error object of the target's, or nobody can tell: listing again would not help.
    if (answer.error().outcome == Outcome::unknown || !answer.error().native)
      co_return give_up(std::move(answer.error()));
    refused = std::move(answer.error());
    refused_step = std::move(name);
  }
  co_return fail(Errc::conflict,
                 "the DPU does not get to the wanted state in " + std::to_string(kMaxSteps) + " steps",
                 Outcome::unknown);
}

}  // namespace vnvme::dpu::spdk
