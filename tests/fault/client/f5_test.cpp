// F5: every wrong way in which a DPU can answer (the simulator's fault
// actions), for every client method. Each point asserts that the call ends in
// time, that the outcome is honest, and that the connection heals.
#include <sys/socket.h>
#include <sys/un.h>

#include "contract.hpp"
#include "core/json.hpp"

namespace vnvme::contract {
namespace {

using std::chrono::milliseconds;

struct Made {
  DpuVolumeId volume, snapshot;
  FunctionId function;
};
struct Method {
  std::string name;
  std::string rpc;  // the request that is answered wrongly
  bool change;
  std::function<Task<Result<void>>(dpu::Dpu&, PoolId, Made, Deadline)> run;
  std::string needs = {};  // a member of the answer without which it says nothing; none: any can be missed
  bool exposed = false;    // the volume is exposed beforehand
};

void PrintTo(const Method& m, std::ostream* out) {
  *out << m.name;
}

template <class T>
Result<void> strip(Result<T> result) {
  if (!result) return fail(std::move(result.error()));
  return {};
}
#define RUN(call)                                                           \
  [](dpu::Dpu& d, PoolId pool, Made m, Deadline by) -> Task<Result<void>> { \
    (void)pool, (void)m;                                                    \
    auto result = co_await d.call;                                          \
    co_return strip(std::move(result));                                     \
  }
dpu::CreateVolume volume_in(PoolId pool) {
  return {pool, "new", MiB(8), true};
}
// The card that speaks HTTP: other requests stand behind its functions, and HTTP can fail in ways of its own.
bool over_http() {
  const char* simulator = getenv("VNVME_TEST_SIM");
  return simulator != nullptr && std::string_view(simulator).find("kalray") != std::string_view::npos;
}
dpu::CreatePool second_pool() {
  return {over_http() ? "lvs" : "vnvme-contract-two", "Test0", MiB(1)};
}
dpu::Expose first(const Made& m) {
  return {m.function, 1, m.volume.str(), "6f0d3f0a-7f3d-4d0e-9a6b-2f5b8f4d1c77"};
}

std::vector<Method> function_methods() {
  if (over_http())  // exposed: the first request then finds a volume
    return {
        {"list_functions", "bdev_get_bdevs", false, RUN(list_functions(by)), "num_blocks", true},
        {"open_function", "bdev_get_bdevs", false, RUN(open_function("CT2", by)), "num_blocks", true},
        {"list_exposures", "bdev_get_bdevs", false, RUN(list_exposures(by)), "num_blocks", true},
        {"expose", "bdev_lvol_rename", true, RUN(expose(first(m), by))},
        {"unexpose", "bdev_lvol_rename", true, RUN(unexpose(m.function, 1, by)), "", true},
    };
  return {
      {"list_functions", "nvmf_get_subsystems", false, RUN(list_functions(by)), "nqn"},
      {"open_function", "nvmf_create_subsystem", true, RUN(open_function("CT2", by))},
      {"close_function", "nvmf_delete_subsystem", true, RUN(close_function(m.function, by))},
      {"list_exposures", "nvmf_get_subsystems", false, RUN(list_exposures(by)), "namespaces"},
      {"expose", "nvmf_subsystem_add_ns", true, RUN(expose(first(m), by))},
      {"unexpose", "nvmf_subsystem_remove_ns", true, RUN(unexpose(m.function, 1, by)), "", true},
  };
}

std::vector<Method> methods() {
  std::vector<Method> all{
      {"identify", "spdk_get_version", false, RUN(identify(by)), "version"},
      {"list_drives", "bdev_get_bdevs", false, RUN(list_drives(by)), "name"},
      {"list_raids", "bdev_raid_get_bdevs", false, RUN(list_raids(by))},
      {"settle", "bdev_wait_for_examine", false, RUN(settle(by))},
      {"list_pools", "bdev_lvol_get_lvstores", false, RUN(list_pools(by)), "uuid"},
      {"create_pool", "bdev_lvol_create_lvstore", true, RUN(create_pool(second_pool(), by))},
      {"delete_pool", "bdev_lvol_delete_lvstore", true, RUN(delete_pool(pool, by))},
      {"list_volumes", "bdev_get_bdevs", false, RUN(list_volumes(pool, by)), "name"},
      {"list_volume_names", "bdev_lvol_get_lvols", false, RUN(list_volume_names(pool, by)), "name"},
      {"find_by_name", "bdev_get_bdevs", false, RUN(find_volume(pool, "v", by)), "name"},
      {"find_by_id", "bdev_get_bdevs", false, RUN(find_volume(m.volume, by)), "num_blocks"},
      {"create_volume", "bdev_lvol_create", true, RUN(create_volume(volume_in(pool), by))},
      {"snapshot_volume", "bdev_lvol_snapshot", true, RUN(snapshot_volume(m.volume, "t", by))},
      {"clone_volume", "bdev_lvol_clone", true, RUN(clone_volume(m.snapshot, "c", by))},
      {"resize_volume", "bdev_lvol_resize", true, RUN(resize_volume(m.volume, MiB(64), by))},
      {"shrink_volume", "bdev_lvol_resize", true, RUN(shrink_volume(m.volume, MiB(4), by))},
      {"rename_volume", "bdev_lvol_rename", true, RUN(rename_volume(m.volume, "r", by))},
      {"set_read_only", "bdev_lvol_set_read_only", true, RUN(set_read_only(m.volume, by))},
      {"inflate_volume", "bdev_lvol_inflate", true, RUN(inflate_volume(m.volume, by))},
      {"decouple_volume", "bdev_lvol_decouple_parent", true, RUN(decouple_volume(m.volume, by))},
      {"delete_volume", "bdev_lvol_delete", true, RUN(delete_volume(m.volume, by))},
      {"set_qos", "bdev_set_qos_limit", true, RUN(set_qos(m.volume, 2000, 0, by))},
      {"io_stat", "bdev_get_iostat", false, RUN(io_stat(m.volume, by)), "num_read_ops"},
  };
  for (auto& method : function_methods()) all.push_back(std::move(method));
  for (auto& method : all)
    if (over_http() && method.rpc == "bdev_lvol_get_lvols") method.rpc = "bdev_get_bdevs";
  return all;
}

enum class Then { works, fails };
struct Action {
  const char* name;
  Then then;
};
const std::vector<Action> kActions{
    {"error", Then::fails},         {"drop_before", Then::fails},  {"drop_after", Then::fails},
    {"never", Then::fails},         {"late", Then::works},         {"twice", Then::works},
    {"wrong_id", Then::fails},      {"half_frame", Then::fails},   {"two_in_one", Then::works},
    {"byte_by_byte", Then::works},  {"garbage", Then::fails},      {"bad_utf8", Then::fails},
    {"huge", Then::fails},          {"deep", Then::fails},         {"strings_for_numbers", Then::works},
    {"missing_field", Then::fails}, {"extra_fields", Then::works}, {"kill_before", Then::fails},
    {"kill_after", Then::fails},    {"large", Then::works}};
const std::vector<Action> kHttpActions{
    {"status_401", Then::fails}, {"status_500", Then::fails}, {"chunked", Then::works}};
std::vector<Action> actions() {
  auto all = kActions;
  if (over_http()) all.insert(all.end(), kHttpActions.begin(), kHttpActions.end());
  return all;
}

class F5 : public Contract, public testing::WithParamInterface<Method> {
 protected:
  void control(const std::string& method, const Json& params) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    std::snprintf(where.sun_path, sizeof where.sun_path, "%s", endpoint_->socket().c_str());
    ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
    Json request = {{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}};
    if (!params.is_null()) request["params"] = params;
    auto text = dump_json_ascii(request);
    ASSERT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    char answer[512];
    auto n = read(fd, answer, sizeof answer);
    ASSERT_GT(n, 0);
    EXPECT_NE(std::string_view(answer, static_cast<std::size_t>(n)).find("\"result\""),
              std::string_view::npos);
    ::close(fd);
  }
  Made prepare() {
    Made m;
    auto base = create("base");
    if (base) m.snapshot = *snapshot(*base, "s");
    auto v = clone(m.snapshot, "v");
    if (v) m.volume = *v;
    auto f = open("CT1");
    if (f) m.function = f->id;
    if (GetParam().exposed) {
      EXPECT_TRUE(expose(m.function, 1, m.volume.str(), "6f0d3f0a-7f3d-4d0e-9a6b-2f5b8f4d1c77"));
    }
    return m;
  }
  static Then wanted(const Action& action) {
    const auto& method = GetParam();
    std::string_view name(action.name);
    // Functions converge: what an unreadable answer did is decided by listing, not by the answer.
    if (name == "bad_utf8" && method.change && method.rpc.starts_with("nvmf_")) return Then::works;
    if (name == "missing_field" && method.needs.empty()) return Then::works;
    // One POST, one answer: another one in the same body belongs to nobody.
    if (over_http() && (name == "twice" || name == "two_in_one")) return Then::fails;
    return action.then;
  }
  void judge(const Action& action, const Result<void>& result) {
    if (wanted(action) == Then::works) {
      EXPECT_TRUE(result) << result.error().describe();
      return;
    }
    ASSERT_FALSE(result) << "a broken answer was believed";
    const auto& error = result.error();
    // The card's SPDK wants the volumes of a pool deleted first: then a part of it is done, whatever comes.
    const bool partly = over_http() && std::string_view(GetParam().name) == "delete_pool";
    bool said_no = std::string_view(action.name) == "error" && !partly;
    auto outcome = GetParam().change && !said_no ? Outcome::unknown : Outcome::not_done;
    EXPECT_EQ(to_string(error.outcome), to_string(outcome)) << error.describe();
    EXPECT_NE(error.code, Errc::not_found) << error.describe();
    EXPECT_FALSE(error.peer.empty()) << error.describe();
  }
  void heal() {
    if (std::string_view(last_).starts_with("kill")) {
      endpoint_->stop();
      endpoint_->start();
    } else {
      control("sim_fault_clear", nullptr);
    }
    // The card is left alone for 10 s after a missed deadline (unit tests with a clock of their own see
    // that): here the next client takes over.
    std::string_view action(last_);
    if (over_http() && (action == "never" || action == "wrong_id")) return;
    for (int i = 0; i < 4; ++i) {
      if (!run<std::uint64_t>([this] { return dpu->wait_generation(0, soon()); })) continue;
      if (pools()) return;
    }
    ADD_FAILURE() << "the connection did not heal";
  }
  const char* last_ = "";
};

TEST_P(F5, EveryAction) {
  if (!endpoint_->own()) GTEST_SKIP() << "the endpoint cannot be told to fail";
  const auto& method = GetParam();
  std::size_t points = 0;
  for (const auto& action : actions()) {
    SCOPED_TRACE(method.name + ", " + action.name);
    if (points > 0) {
      // A new client cleans up: the lanes of the old one may still be waiting for an answer that never comes.
      leave();
      SetUp();
    }
    ASSERT_FALSE(HasFatalFailure());
    auto made = prepare();
    // A second pool needs a free drive.
    if (method.name == "create_pool") {
      ASSERT_TRUE(run<void>([this] { return dpu->delete_pool(pool_id, soon()); }));
    }
    last_ = action.name;
    control("sim_fault_add", Json{{"method", method.rpc},
                                  {"action", action.name},
                                  {"delay_ms", 20},
                                  {"field", method.needs.empty() ? "name" : method.needs}});
    // A card with one request at a time, and a connection for each, needs longer for the same.
    auto usual = milliseconds(over_http() ? 2500 : 700);
    bool big = std::string_view(action.name) == "huge" || std::string_view(action.name) == "large";
    auto deadline = Deadline::after(big ? milliseconds(20'000) : usual);
    auto result =
        run<void>([this, &method, made, deadline] { return method.run(*dpu, pool_id, made, deadline); });
    EXPECT_TRUE(MonoClock::now() <= deadline.at() + seconds(5)) << "it ended long after its deadline";
    judge(action, result);
    heal();
    ++points;
  }
  leave();
  SetUp();
  std::printf("F5 %s: %zu points\n", method.name.c_str(), points);
}

INSTANTIATE_TEST_SUITE_P(Methods, F5, testing::ValuesIn(methods()),
                         [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace vnvme::contract
