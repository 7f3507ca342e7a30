#include "dpu/snap/snap.hpp"
#include "dpu/spdk/bdev.hpp"
#include "dpu/spdk/nvmf.hpp"

namespace vnvme::dpu::snap {
namespace {

using spdk::Keep;
using spdk::Step;

class SnapFunctions final : public spdk::FunctionDriver {
 public:
  explicit SnapFunctions(spdk::Target& target) : target_(target) {}

  Task<Result<std::vector<Function>>> functions(Deadline deadline) override {
    auto state = co_await list(deadline);
    if (!state) co_return fail(std::move(state.error()));
    co_return functions_of(*state);
  }

  Task<Result<Function>> open(std::string serial, FunctionId before, Keep lane, Deadline deadline) override {
    bool can_create = target_.dialect().has("nvme_function_create");
    PlanFn plan = [serial, can_create, before](const SnapState& s) {
      return plan_snap_open(s, serial, can_create, before);
    };
    auto state = co_await run(std::move(plan), std::move(lane), deadline);
    if (!state) co_return fail(std::move(state.error()));
    for (auto& f : functions_of(*state))
      if (!f.foreign && f.serial == serial) co_return std::move(f);
    co_return fail(Errc::internal, "the function that was opened is not listed", Outcome::unknown);
  }

  Task<Result<void>> close(FunctionId id, Keep lane, Deadline deadline) override {
    PlanFn plan = [id, nqn = std::string()](const SnapState& s) mutable {
      return plan_snap_close(s, id, nqn);
    };
    auto state = co_await run(std::move(plan), std::move(lane), deadline);
    co_return strip(std::move(state));
  }

  Task<Result<std::vector<Exposure>>> exposures(Deadline deadline) override {
    auto state = co_await list(deadline);
    if (!state) co_return fail(std::move(state.error()));
    auto all = snap_exposures_of(*state);
    if (!target_.dialect().nvmf) co_return all;
    // The card may export volumes over NVMe-oF besides; none of these is ours here.
    auto fabrics = co_await spdk::get_subsystems(target_, deadline);
    if (!fabrics) co_return fail(std::move(fabrics.error()));
    for (auto& e : spdk::exposures_of(*fabrics)) {
      e.foreign = true;
      all.push_back(std::move(e));
    }
    co_return all;
  }

  Task<Result<void>> expose(Expose want, Keep lane, Deadline deadline) override {
    if (target_.dialect().nvmf) {
      auto fabrics = co_await spdk::get_subsystems(target_, deadline);
      if (!fabrics) co_return fail(std::move(fabrics.error()));
      for (const auto& e : spdk::exposures_of(*fabrics))
        if (e.target == want.target)
          co_return fail(Errc::in_use,
                         "\"" + want.target + "\" is exported as \"" + e.function.str() + "\" already");
    }
    PlanFn plan = [want](const SnapState& s) { return plan_snap_expose(s, want); };
    auto state = co_await run(std::move(plan), std::move(lane), deadline);
    auto done = strip(std::move(state));
    if (done || !done.error().native) co_return done;
    auto bdev = co_await spdk::find_bdev(target_, want.target, deadline);
    if (bdev && !*bdev) done.error().code = Errc::not_found;
    co_return done;
  }

  Task<Result<void>> unexpose(FunctionId id, std::uint32_t nsid, Keep lane, Deadline deadline) override {
    PlanFn plan = [id, nsid](const SnapState& s) { return plan_snap_unexpose(s, id, nsid); };
    auto state = co_await run(std::move(plan), std::move(lane), deadline);
    co_return strip(std::move(state));
  }

 private:
  // In a variable of exactly this type before an await: see spdk/nvmf.cpp.
  using PlanFn = std::function<Plan(const SnapState&)>;
  static Result<void> strip(Result<SnapState> state) {
    if (!state) return fail(std::move(state.error()));
    return {};
  }

  Task<Result<SnapState>> run(PlanFn plan, Keep lane, Deadline deadline) {
    std::function<Task<Result<SnapState>>()> look = [this, deadline]() { return list(deadline); };
    co_return co_await spdk::converge<SnapState>(target_, std::move(look), std::move(plan), std::move(lane),
                                                 deadline);
  }

  Task<Result<SnapState>> list(Deadline deadline) {
    SnapState state;
    Step list_functions{
        .method = "emulation_function_list", .params = {{"all", true}}, .cap = spdk::kListCall};
    auto answer = co_await target_.read(list_functions, deadline);
    if (!answer) co_return fail(std::move(answer.error()));
    auto functions = decode_functions(answer->result());
    if (!functions)
      co_return fail(target_.unreadable(list_functions, std::move(functions.error()), Outcome::not_done));
    Step list_subsystems{.method = "nvme_subsystem_list", .cap = spdk::kListCall};
    auto second = co_await target_.read(list_subsystems, deadline);
    if (!second) co_return fail(std::move(second.error()));
    auto subsystems = decode_snap_subsystems(second->result());
    if (!subsystems)
      co_return fail(target_.unreadable(list_subsystems, std::move(subsystems.error()), Outcome::not_done));
    state.functions = std::move(*functions);
    state.subsystems = std::move(*subsystems);
    co_return state;
  }

  spdk::Target& target_;
};

}  // namespace
}  // namespace vnvme::dpu::snap

namespace vnvme::dpu::spdk {
std::unique_ptr<FunctionDriver> make_snap_functions(Target& target) {
  return std::make_unique<snap::SnapFunctions>(target);
}
}  // namespace vnvme::dpu::spdk
