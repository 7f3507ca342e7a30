#include "dpu/spdk/nvmf.hpp"

#include "core/json.hpp"
#include "dpu/spdk/bdev.hpp"

namespace vnvme::dpu::spdk {
namespace {

constexpr JsonLimits kSubsystem{.bytes = 4u << 20, .depth = 16, .values = 1u << 17, .string_bytes = 4096};
constexpr std::uint32_t kMaxNamespaces = 32;

Result<NvmfNamespace> decode_namespace(const Json& json) {
  NvmfNamespace ns;
  auto nsid = number_of(json, "nsid");
  auto bdev = text_of(json, "bdev_name");
  if (!bdev) bdev = text_of(json, "name");
  if (!nsid || *nsid == 0 || *nsid > UINT32_MAX || !bdev)
    return fail(Errc::protocol, "a namespace without nsid or bdev");
  ns.nsid = static_cast<std::uint32_t>(*nsid);
  ns.bdev = *bdev;
  auto uuid = text_of(json, "uuid");
  ns.uuid = uuid ? parse_uuid(*uuid).value_or(*uuid) : "";
  ns.nguid = text_of(json, "nguid").value_or("");
  return ns;
}

void decode_listeners(const Json& json, NvmfSubsystem& subsystem) {
  const Json* listeners = member(json, "listen_addresses");
  if (listeners == nullptr || !listeners->is_array()) return;
  for (const auto& one : *listeners)
    subsystem.listeners.push_back(
        Listener{text_of(one, "trtype").value_or(""), text_of(one, "adrfam").value_or(""),
                 text_of(one, "traddr").value_or(""), text_of(one, "trsvcid").value_or("")});
}

Result<std::optional<NvmfSubsystem>> decode_subsystem(std::string_view text) {
  auto json = parse_json(text, kSubsystem);
  if (!json) return fail(std::move(json.error()));
  NvmfSubsystem s;
  auto nqn = text_of(*json, "nqn");
  if (!nqn) return fail(Errc::protocol, "a subsystem without NQN");
  auto subtype = text_of(*json, "subtype").value_or("");
  if (subtype.starts_with("Discovery")) return std::optional<NvmfSubsystem>();
  s.nqn = *nqn;
  s.serial = text_of(*json, "serial_number").value_or("");
  s.max_namespaces = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(number_of(*json, "max_namespaces").value_or(kMaxNamespaces), UINT32_MAX));
  decode_listeners(*json, s);
  const Json* namespaces = member(*json, "namespaces");
  // Without this member nobody could tell what is exported: not the same as exporting nothing.
  if (namespaces == nullptr || !namespaces->is_array())
    return fail(Errc::protocol, "subsystem \"" + s.nqn + "\" without its namespaces");
  for (const auto& one : *namespaces) {
    auto ns = decode_namespace(one);
    if (!ns) return fail(std::move(ns.error()));
    s.namespaces.push_back(std::move(*ns));
  }
  return s;
}

const NvmfSubsystem* find(const NvmfState& state, std::string_view nqn) {
  for (const auto& subsystem : state)
    if (subsystem.nqn == nqn) return &subsystem;
  return nullptr;
}

const NvmfNamespace* find(const NvmfSubsystem& subsystem, std::uint32_t nsid) {
  for (const auto& ns : subsystem.namespaces)
    if (ns.nsid == nsid) return &ns;
  return nullptr;
}

bool same_text(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    auto low = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return low(x) == low(y);
  });
}

bool listens(const NvmfSubsystem& subsystem, const Listener& listener) {
  return std::any_of(subsystem.listeners.begin(), subsystem.listeners.end(), [&listener](const Listener& l) {
    return same_text(l.trtype, listener.trtype) && l.traddr == listener.traddr &&
           l.trsvcid == listener.trsvcid;
  });
}

Function function_of(const NvmfSubsystem& s, const std::optional<Listener>& listener) {
  Function f;
  f.id = FunctionId(s.nqn);
  f.serial = s.serial;
  f.foreign = !ours(s.nqn);
  f.hotplugged = true;
  f.ready = !f.foreign && (!listener || listens(s, *listener));
  return f;
}

}  // namespace

Result<std::string> nqn_of_serial(std::string_view serial) {
  if (serial.empty() || serial.size() > 20)
    return fail(Errc::invalid_argument,
                "a serial number has 1 to 20 characters, not " + std::to_string(serial.size()));
  for (char c : serial) {
    bool fine =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.';
    if (!fine)
      return fail(Errc::invalid_argument, "a serial number has only letters, digits, \"-\" and \".\"");
  }
  return std::string(kNqnPrefix) + std::string(serial);
}

Result<NvmfState> decode_subsystems(std::string_view result) {
  NvmfState state;
  auto done = rpc::each_element(result, [&state](std::string_view text) -> Result<void> {
    auto subsystem = decode_subsystem(text);
    if (!subsystem) return fail(std::move(subsystem.error()));
    if (*subsystem) state.push_back(std::move(**subsystem));
    return {};
  });
  if (!done) return fail(std::move(done.error()));
  return state;
}

Task<Result<NvmfState>> get_subsystems(Target& target, Deadline deadline) {
  Step step{.method = "nvmf_get_subsystems", .cap = kListCall};
  auto answer = co_await target.read(step, deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  auto state = decode_subsystems(answer->result());
  if (!state) co_return fail(target.unreadable(step, std::move(state.error()), Outcome::not_done));
  co_return state;
}

std::vector<Exposure> exposures_of(const NvmfState& state) {
  std::vector<Exposure> all;
  for (const auto& subsystem : state)
    for (const auto& ns : subsystem.namespaces)
      all.push_back(Exposure{FunctionId(subsystem.nqn), ns.nsid, parse_uuid(ns.bdev).value_or(ns.bdev),
                             ns.uuid, !ours(subsystem.nqn)});
  return all;
}

Plan plan_nvmf_open(const NvmfState& state, const std::string& serial,
                    const std::optional<Listener>& listener) {
  auto nqn = nqn_of_serial(serial);
  if (!nqn) return Plan::refuse(nqn.error().code, nqn.error().text);
  const auto* s = find(state, *nqn);
  if (s == nullptr)
    return Plan::go({.method = "nvmf_create_subsystem",
                     .params = {{"nqn", *nqn},
                                {"allow_any_host", true},
                                {"serial_number", serial},
                                {"model_number", "vnvme"},
                                {"max_namespaces", kMaxNamespaces}},
                     .object = *nqn});
  if (s->serial != serial)
    return Plan::refuse(Errc::conflict, "subsystem \"" + *nqn + "\" has serial \"" + s->serial + "\"");
  if (!listener || listens(*s, *listener)) return Plan::done();
  Params address = {{"trtype", listener->trtype},
                    {"adrfam", listener->adrfam},
                    {"traddr", listener->traddr},
                    {"trsvcid", listener->trsvcid}};
  return Plan::go({.method = "nvmf_subsystem_add_listener",
                   .params = {{"nqn", *nqn}, {"listen_address", std::move(address)}},
                   .object = *nqn});
}

Plan plan_nvmf_close(const NvmfState& state, const FunctionId& id) {
  if (!ours(id.str())) return Plan::refuse(Errc::not_permitted, "function \"" + id.str() + "\" is not ours");
  const auto* s = find(state, id.str());
  if (s == nullptr) return Plan::done();
  if (!s->namespaces.empty())
    return Plan::refuse(Errc::in_use, "function \"" + id.str() + "\" still has " +
                                          std::to_string(s->namespaces.size()) + " namespaces");
  return Plan::go({.method = "nvmf_delete_subsystem", .params = {{"nqn", id.str()}}, .object = id.str()});
}

Plan plan_nvmf_expose(const NvmfState& state, const Expose& want) {
  if (!ours(want.function.str()))
    return Plan::refuse(Errc::not_permitted, "function \"" + want.function.str() + "\" is not ours");
  const auto* s = find(state, want.function.str());
  if (s == nullptr)
    return Plan::refuse(Errc::not_found, "there is no function \"" + want.function.str() + "\"");
  if (want.nsid == 0 || want.nsid > s->max_namespaces)
    return Plan::refuse(Errc::invalid_argument, "namespace id " + std::to_string(want.nsid) +
                                                    " is beyond 1 to " + std::to_string(s->max_namespaces));
  for (const auto& e : exposures_of(state)) {
    bool here = e.function == want.function && e.nsid == want.nsid;
    if (here && e.target == want.target && e.uuid == want.uuid) return Plan::done();
    if (here)
      return Plan::refuse(Errc::conflict, "namespace " + std::to_string(e.nsid) + " of \"" +
                                              e.function.str() + "\" is \"" + e.target + "\" with uuid " +
                                              e.uuid + " already");
    if (e.target == want.target)
      return Plan::refuse(Errc::in_use, "\"" + want.target + "\" is namespace " + std::to_string(e.nsid) +
                                            " of function \"" + e.function.str() + "\" already");
  }
  Params ns = {{"nsid", want.nsid}, {"bdev_name", want.target}, {"uuid", want.uuid}};
  // SPDK wants the NGUID as 32 hex digits.
  ns["nguid"] = uuid_hex(want.uuid);
  return Plan::go({.method = "nvmf_subsystem_add_ns",
                   .params = {{"nqn", want.function.str()}, {"namespace", std::move(ns)}},
                   .object = want.target});
}

Plan plan_nvmf_unexpose(const NvmfState& state, const FunctionId& id, std::uint32_t nsid) {
  if (!ours(id.str())) return Plan::refuse(Errc::not_permitted, "function \"" + id.str() + "\" is not ours");
  const auto* s = find(state, id.str());
  if (s == nullptr || find(*s, nsid) == nullptr) return Plan::done();
  return Plan::go({.method = "nvmf_subsystem_remove_ns",
                   .params = {{"nqn", id.str()}, {"nsid", nsid}},
                   .object = id.str()});
}

namespace {

class NvmfFunctions final : public FunctionDriver {
 public:
  NvmfFunctions(Target& target, std::optional<Listener> listener)
      : target_(target), listener_(std::move(listener)) {}

  Task<Result<std::vector<Function>>> functions(Deadline deadline) override {
    auto state = co_await get_subsystems(target_, deadline);
    if (!state) co_return fail(std::move(state.error()));
    std::vector<Function> all;
    for (const auto& subsystem : *state) all.push_back(function_of(subsystem, listener_));
    co_return all;
  }

  Task<Result<Function>> open(std::string serial, FunctionId, Keep lane, Deadline deadline) override {
    if (listener_) {
      auto transport = co_await ensure_transport(lane, deadline);
      if (!transport) co_return fail(std::move(transport.error()));
    }
    PlanFn plan = [this, serial](const NvmfState& now) { return plan_nvmf_open(now, serial, listener_); };
    auto state = co_await run(std::move(plan), std::move(lane), deadline);
    if (!state) co_return fail(std::move(state.error()));
    auto nqn = nqn_of_serial(serial);
    const auto* s = nqn ? find(*state, *nqn) : nullptr;
    if (s == nullptr)
      co_return fail(Errc::internal, "the function that was opened is not listed", Outcome::unknown);
    co_return function_of(*s, listener_);
  }

  Task<Result<void>> close(FunctionId id, Keep lane, Deadline deadline) override {
    PlanFn plan = [id](const NvmfState& s) { return plan_nvmf_close(s, id); };
    auto state = co_await run(std::move(plan), std::move(lane), deadline);
    co_return strip(std::move(state));
  }

  Task<Result<std::vector<Exposure>>> exposures(Deadline deadline) override {
    auto state = co_await get_subsystems(target_, deadline);
    if (!state) co_return fail(std::move(state.error()));
    co_return exposures_of(*state);
  }

  Task<Result<void>> expose(Expose want, Keep lane, Deadline deadline) override {
    PlanFn plan = [want](const NvmfState& s) { return plan_nvmf_expose(s, want); };
    auto state = co_await run(std::move(plan), std::move(lane), deadline);
    auto done = strip(std::move(state));
    if (done || done.error().code != Errc::invalid_argument || !done.error().native) co_return done;
    // "Invalid parameters" says nothing: find out whether the volume is there at all.
    auto bdev = co_await find_bdev(target_, want.target, deadline);
    if (bdev && !*bdev) done.error().code = Errc::not_found;
    if (bdev && *bdev && (*bdev)->size.value == 0)
      done.error().text += ": a volume of 0 bytes cannot be a namespace";
    co_return done;
  }

  Task<Result<void>> unexpose(FunctionId id, std::uint32_t nsid, Keep lane, Deadline deadline) override {
    PlanFn plan = [id, nsid](const NvmfState& s) { return plan_nvmf_unexpose(s, id, nsid); };
    auto state = co_await run(std::move(plan), std::move(lane), deadline);
    co_return strip(std::move(state));
  }

 private:
  // Always in a variable of exactly this type before an await: g++ 12 destroys converted arguments twice.
  using PlanFn = std::function<Plan(const NvmfState&)>;
  static Result<void> strip(Result<NvmfState> state) {
    if (!state) return fail(std::move(state.error()));
    return {};
  }

  Task<Result<NvmfState>> run(PlanFn plan, Keep lane, Deadline deadline) {
    std::function<Task<Result<NvmfState>>()> list = [this, deadline]() {
      return get_subsystems(target_, deadline);
    };
    co_return co_await converge<NvmfState>(target_, std::move(list), std::move(plan), std::move(lane),
                                           deadline);
  }

  Task<Result<void>> ensure_transport(Keep lane, Deadline deadline) {
    auto have = co_await has_transport(deadline);
    if (!have) co_return fail(std::move(have.error()));
    if (*have) co_return Result<void>();
    Step step{.method = "nvmf_create_transport",
              .params = {{"trtype", listener_->trtype}},
              .object = listener_->trtype};
    auto made = co_await target_.change_true(step, std::move(lane), deadline);
    if (made || made.error().outcome == Outcome::unknown || !made.error().native) co_return made;
    // "Already exists" is decided by looking.
    auto again = co_await has_transport(deadline);
    if (again && *again) co_return Result<void>();
    co_return made;
  }

  Task<Result<bool>> has_transport(Deadline deadline) {
    Step step{.method = "nvmf_get_transports"};
    auto answer = co_await target_.read(step, deadline);
    if (!answer) co_return fail(std::move(answer.error()));
    auto json = parse_json(answer->result(), kSubsystem);
    if (json && !json->is_array()) json = fail(Errc::protocol, "no list");
    if (!json) co_return fail(target_.unreadable(step, std::move(json.error()), Outcome::not_done));
    for (const auto& transport : *json)
      if (same_text(text_of(transport, "trtype").value_or(""), listener_->trtype)) co_return true;
    co_return false;
  }

  Target& target_;
  std::optional<Listener> listener_;
};

}  // namespace

std::unique_ptr<FunctionDriver> make_nvmf_functions(Target& target, std::optional<Listener> listener) {
  return std::make_unique<NvmfFunctions>(target, std::move(listener));
}

}  // namespace vnvme::dpu::spdk
