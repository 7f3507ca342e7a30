// F1: every client method, every step of its conversation, every fault. Each
// point asserts that the call ends before its deadline, says what happened
// (C3), names what failed, sends no mutation twice, and that the connection
// heals: the same call then works.
#include <gtest/gtest.h>

#include <set>

#include "support/dpu_fixture.hpp"

namespace vnvme {
namespace {

using namespace test;
using std::chrono::seconds;

struct Done {
  std::optional<Error> error;
};
using Run = std::function<Task<Result<Done>>(dpu::Dpu&, Deadline)>;

struct Case {
  std::string name;
  Kind kind;
  std::vector<Exchange> script;
  Run run;
  // "No such device" at this step is the positive answer "absent": the call succeeds.
  int absent_step = -1;
  std::optional<dpu::spdk::Listener> listener = std::nullopt;
};

// gtest would print the bytes, padding included.
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

template <class T>
Result<Done> strip(Result<T> result) {
  if (!result) return fail(std::move(result.error()));
  return Done{};
}

#define RUN(call)                                      \
  [](dpu::Dpu& d, Deadline by) -> Task<Result<Done>> { \
    auto result = co_await d.call;                     \
    co_return strip(std::move(result));                \
  }

const DpuVolumeId kId(kVol);
const PoolId kIn(kPool);
const std::string kNew = std::string("\"") + kVol2 + "\"";
const std::string kEmptySubsystem = list({subsystem_text(kNqn, "VM1")});
const std::string kUsedSubsystem = list({subsystem_text(kNqn, "VM1", namespace_text(1, kVol, kVol))});
const Exchange kPools{"bdev_lvol_get_lvstores", pools_text()};
const Exchange kLook{"bdev_get_bdevs", list({vol_text()}), Json{{"name", kVol}}};

// Made outside of the coroutines: g++ 12 does not take aggregates with lists as arguments of an awaited call.
dpu::CreateRaid mirror() {
  return {"r", "raid1", 0, {"aio0", "aio1"}};
}
dpu::CreateVolume small() {
  return {kIn, "n", MiB(8), true};
}
dpu::CreatePool pool() {
  return {"p", "aio1", MiB(1)};
}
dpu::Expose first_of(const std::string& function) {
  return {FunctionId(function), 1, kVol, kVol};
}

std::vector<Case> volume_cases() {
  std::vector<Case> all;
  auto v26 = Kind::v26;
  all.push_back({"create_volume", v26, {{"bdev_lvol_create", kNew}}, RUN(create_volume(small(), by))});
  all.push_back(
      {"snapshot_volume", v26, {kLook, {"bdev_lvol_snapshot", kNew}}, RUN(snapshot_volume(kId, "s", by))});
  all.push_back({"clone_volume", v26, {kLook, {"bdev_lvol_clone", kNew}}, RUN(clone_volume(kId, "c", by))});
  all.push_back({"resize_volume",
                 v26,
                 {kLook, kLook, {"bdev_lvol_resize", "true"}},
                 RUN(resize_volume(kId, GiB(1), by))});
  all.push_back({"shrink_volume",
                 v26,
                 {kLook, kLook, {"bdev_lvol_resize", "true"}},
                 RUN(shrink_volume(kId, MiB(8), by))});
  all.push_back(
      {"rename_volume", v26, {kLook, {"bdev_lvol_rename", "true"}}, RUN(rename_volume(kId, "r", by))});
  all.push_back(
      {"set_read_only", v26, {kLook, {"bdev_lvol_set_read_only", "true"}}, RUN(set_read_only(kId, by))});
  all.push_back(
      {"inflate_volume", v26, {kLook, {"bdev_lvol_inflate", "true"}}, RUN(inflate_volume(kId, by))});
  all.push_back({"decouple_volume",
                 v26,
                 {kLook, {"bdev_lvol_decouple_parent", "true"}},
                 RUN(decouple_volume(kId, by))});
  all.push_back({"delete_volume", v26, {kLook, {"bdev_lvol_delete", "true"}}, RUN(delete_volume(kId, by))});
  all.push_back({"set_qos",
                 v26,
                 {{"bdev_get_bdevs", list({vol_text({.claimed = true})})},
                  {"bdev_get_bdevs", list({vol_text({.claimed = true})})},
                  {"bdev_set_qos_limit", "true"}},
                 RUN(set_qos(kId, 2000, 10, by))});
  all.push_back(
      {"io_stat",
       v26,
       {{"bdev_get_iostat",
         R"({"bdevs":[{"name":"x","num_read_ops":1,"num_write_ops":2,"bytes_read":3,"bytes_written":4}]})"}},
       RUN(io_stat(kId, by))});
  all.push_back({"find_volume_by_name",
                 v26,
                 {kPools, {"bdev_get_bdevs", list({vol_text()}), Json{{"name", "lvs0/v"}}}},
                 RUN(find_volume(kIn, "v", by)),
                 1});
  all.push_back({"find_volume_by_id", v26, {kLook, kPools}, RUN(find_volume(kId, by)), 0});
  all.push_back({"list_volumes",
                 v26,
                 {kPools, {"bdev_get_bdevs", list({vol_text(), drive_text("aio0")})}},
                 RUN(list_volumes(kIn, by))});
  all.push_back({"list_volume_names",
                 v26,
                 {kPools, {"bdev_lvol_get_lvols", "[]", Json{{"lvs_name", "lvs0"}}}},
                 RUN(list_volume_names(kIn, by))});
  all.push_back({"list_volume_names_old",
                 Kind::v23,
                 {kPools, {"bdev_get_bdevs", "[]"}},
                 RUN(list_volume_names(kIn, by))});
  return all;
}

std::vector<Case> pool_cases() {
  std::vector<Case> all;
  auto v26 = Kind::v26;
  auto bdevs = list({drive_text("aio0"), drive_text("aio1")});
  all.push_back({"identify", v26, {{"spdk_get_version", version_text(v26)}}, RUN(identify(by))});
  all.push_back({"list_drives",
                 v26,
                 {{"bdev_get_bdevs", bdevs}, kPools, {"bdev_raid_get_bdevs", "[]"}},
                 RUN(list_drives(by))});
  all.push_back(
      {"list_raids", v26, {{"bdev_raid_get_bdevs", "[]", Json{{"category", "all"}}}}, RUN(list_raids(by))});
  all.push_back({"create_raid",
                 v26,
                 {{"bdev_get_bdevs", bdevs}, {"bdev_raid_create", "true"}},
                 RUN(create_raid(mirror(), by))});
  all.push_back({"delete_raid", v26, {kPools, {"bdev_raid_delete", "true"}}, RUN(delete_raid("r", by))});
  all.push_back({"settle", v26, {{"bdev_wait_for_examine", "true", Json()}}, RUN(settle(by))});
  all.push_back({"list_pools", v26, {kPools}, RUN(list_pools(by))});
  all.push_back({"create_pool",
                 v26,
                 {{"bdev_lvol_create_lvstore", std::string("\"") + kPool + "\""}},
                 RUN(create_pool(pool(), by))});
  all.push_back({"delete_pool",
                 v26,
                 {{"bdev_lvol_delete_lvstore", "true", Json{{"uuid", kPool}}}},
                 RUN(delete_pool(kIn, by))});
  all.push_back({"delete_pool_old",
                 Kind::v23,
                 {kPools,
                  {"bdev_get_bdevs", list({vol_text()})},
                  {"bdev_lvol_delete", "true"},
                  kPools,
                  {"bdev_get_bdevs", "[]"},
                  {"bdev_lvol_delete_lvstore", "true"}},
                 RUN(delete_pool(kIn, by))});
  return all;
}

std::vector<Case> nvmf_cases() {
  std::vector<Case> all;
  auto v26 = Kind::v26;
  dpu::spdk::Listener listener{.traddr = "127.0.0.1", .trsvcid = "4420"};
  auto listening = kEmptySubsystem;
  auto at = listening.find("\"listen_addresses\":[]");
  listening.replace(
      at, 21,
      R"("listen_addresses":[{"trtype":"TCP","adrfam":"IPv4","traddr":"127.0.0.1","trsvcid":"4420"}])");
  all.push_back(
      {"list_functions", v26, {{"nvmf_get_subsystems", kEmptySubsystem, Json()}}, RUN(list_functions(by))});
  all.push_back({"open_function",
                 v26,
                 {{"nvmf_get_subsystems", "[]"},
                  {"nvmf_create_subsystem", "true"},
                  {"nvmf_get_subsystems", kEmptySubsystem}},
                 RUN(open_function("VM1", by))});
  all.push_back({"open_function_listening",
                 v26,
                 {{"nvmf_get_transports", "[]"},
                  {"nvmf_create_transport", "true"},
                  {"nvmf_get_subsystems", "[]"},
                  {"nvmf_create_subsystem", "true"},
                  {"nvmf_get_subsystems", kEmptySubsystem},
                  {"nvmf_subsystem_add_listener", "true"},
                  {"nvmf_get_subsystems", listening}},
                 RUN(open_function("VM1", by)),
                 -1,
                 listener});
  all.push_back({"close_function",
                 v26,
                 {{"nvmf_get_subsystems", kEmptySubsystem},
                  {"nvmf_delete_subsystem", "true"},
                  {"nvmf_get_subsystems", "[]"}},
                 RUN(close_function(FunctionId(kNqn), by))});
  all.push_back({"list_exposures", v26, {{"nvmf_get_subsystems", kUsedSubsystem}}, RUN(list_exposures(by))});
  all.push_back({"expose",
                 v26,
                 {{"nvmf_get_subsystems", kEmptySubsystem},
                  {"nvmf_subsystem_add_ns", "1"},
                  {"nvmf_get_subsystems", kUsedSubsystem}},
                 RUN(expose(first_of(kNqn), by))});
  all.push_back({"unexpose",
                 v26,
                 {{"nvmf_get_subsystems", kUsedSubsystem},
                  {"nvmf_subsystem_remove_ns", "true"},
                  {"nvmf_get_subsystems", kEmptySubsystem}},
                 RUN(unexpose(FunctionId(kNqn), 1, by))});
  return all;
}

std::string snap_functions(const std::string& controller, bool visible = true) {
  return R"([{"hotplugged":true,"emulation_type":"NVME","pci_bdf":")" +
         std::string(visible ? "27:00.0" : "00:00.0") + R"(","vhca_id":9,"vuid":"H1")" +
         (controller.empty() ? "" : R"(,"ctrl_id":")" + controller + "\"") + R"(,"vfs":[]}])";
}
std::string snap_subsystem(const std::string& status, bool plugged, bool ns = false, bool attached = false) {
  std::string controller = status.empty()
                               ? ""
                               : R"({"ctrl_id":"C1","vhca_id":9,"state":")" + status + R"(","plugged":)" +
                                     (plugged ? "true" : "false") + R"(,"namespaces":[)" +
                                     (attached ? R"({"nsid":1})" : "") + "]}";
  std::string space = ns ? R"({"nsid":1,"bdev":")" + std::string(kVol) + R"(","uuid":")" + kVol + "\"}" : "";
  return R"([{"nqn":")" + kNqn + R"(","sn":"VM1","controllers":[)" + controller + R"(],"namespaces":[)" +
         space + "]}]";
}
void look(std::vector<Exchange>& script, const std::string& functions, const std::string& subsystems) {
  script.push_back({"emulation_function_list", functions, Json{{"all", true}}});
  script.push_back({"nvme_subsystem_list", subsystems, Json()});
}

std::vector<Case> snap_cases() {
  std::vector<Case> all;
  auto snap = Kind::snap;
  std::vector<Exchange> s;
  look(s, snap_functions("C1"), snap_subsystem("STARTED", true));
  all.push_back({"snap_list_functions", snap, s, RUN(list_functions(by))});
  all.push_back({"snap_list_exposures", snap, s, RUN(list_exposures(by))});
  s.clear();
  look(s, "[]", "[]");
  s.push_back({"nvme_subsystem_create", "true", Json{{"nqn", kNqn}, {"sn", "VM1"}, {"mn", "vnvme"}}});
  look(s, "[]", snap_subsystem("", false));
  s.push_back({"nvme_function_create", R"({"vhca_id":9,"vuid":"H1"})", Json()});
  look(s, snap_functions("", false), snap_subsystem("", false));
  s.push_back({"nvme_controller_create", R"({"ctrl_id":"C1"})",
               Json{{"nqn", kNqn}, {"suspended", true}, {"vuid", "H1"}}});
  look(s, snap_functions("C1", false), snap_subsystem("SUSPENDED", false));
  s.push_back({"nvme_controller_resume", "true", Json{{"ctrl_id", "C1"}}});
  look(s, snap_functions("C1", false), snap_subsystem("STARTED", false));
  s.push_back({"nvme_controller_hotplug", "true", Json{{"ctrl_id", "C1"}, {"wait_for_done", true}}});
  look(s, snap_functions("C1"), snap_subsystem("STARTED", true));
  all.push_back({"snap_open_function", snap, s, RUN(open_function("VM1", by))});
  s.clear();
  look(s, snap_functions("C1"), snap_subsystem("STARTED", true));
  s.push_back({"nvme_controller_hotunplug", "true"});
  look(s, snap_functions("C1", false), snap_subsystem("STARTED", false));
  s.push_back({"nvme_controller_destroy", "true", Json{{"ctrl_id", "C1"}, {"force", true}}});
  look(s, snap_functions("", false), snap_subsystem("", false));
  s.push_back({"nvme_subsystem_destroy", "true", Json{{"nqn", kNqn}}});
  look(s, snap_functions("", false), "[]");
  s.push_back({"nvme_function_destroy", "true", Json{{"vuid", "H1"}}});
  look(s, "[]", "[]");
  all.push_back({"snap_close_function", snap, s, RUN(close_function(FunctionId("H1"), by))});
  s.clear();
  look(s, snap_functions("C1"), snap_subsystem("STARTED", true));
  s.push_back({"nvme_namespace_create", "true"});
  look(s, snap_functions("C1"), snap_subsystem("STARTED", true, true));
  s.push_back({"nvme_controller_attach_ns", "true", Json{{"nsid", 1}, {"ctrl_id", "C1"}}});
  look(s, snap_functions("C1"), snap_subsystem("STARTED", true, true, true));
  all.push_back({"snap_expose", snap, s, RUN(expose(first_of("H1"), by))});
  s.clear();
  look(s, snap_functions("C1"), snap_subsystem("STARTED", true, true, true));
  s.push_back({"nvme_controller_detach_ns", "true"});
  look(s, snap_functions("C1"), snap_subsystem("STARTED", true, true));
  s.push_back({"nvme_namespace_destroy", "true"});
  look(s, snap_functions("C1"), snap_subsystem("STARTED", true));
  all.push_back({"snap_unexpose", snap, s, RUN(unexpose(FunctionId("H1"), 1, by))});
  return all;
}

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (auto& group : {volume_cases(), pool_cases(), nvmf_cases(), snap_cases()})
    all.insert(all.end(), group.begin(), group.end());
  return all;
}

bool reads_only(const std::string& method) {
  static const std::set<std::string> reads{
      "spdk_get_version",       "bdev_get_bdevs",          "bdev_get_iostat",     "bdev_wait_for_examine",
      "bdev_lvol_get_lvstores", "bdev_lvol_get_lvols",     "bdev_raid_get_bdevs", "nvmf_get_subsystems",
      "nvmf_get_transports",    "emulation_function_list", "nvme_subsystem_list"};
  return reads.contains(method);
}

class F1 : public testing::TestWithParam<Case> {
 protected:
  const Case& c = GetParam();
  bool changed_before(std::size_t step) const {
    for (std::size_t i = 0; i < step; ++i)
      // A transport that exists is not what any call is about.
      if (!reads_only(c.script[i].method) && c.script[i].method != "nvmf_create_transport") return true;
    return false;
  }
  bool succeeds(std::size_t step, Fault fault) const {
    if (fault == Fault::twice) return true;
    bool absent = fault == Fault::error_19 || fault == Fault::error_2;
    return absent && static_cast<int>(step) == c.absent_step;
  }
  Outcome wanted(std::size_t step, Fault fault) const {
    bool read = reads_only(c.script[step].method);
    if (changed_before(step)) return Outcome::unknown;
    if (read) return Outcome::not_done;
    if (is_error_object(fault))
      return c.script[step].method == "bdev_lvol_resize" && fault == Fault::error_16 ? Outcome::unknown
                                                                                     : Outcome::not_done;
    return Outcome::unknown;
  }
  void check(DpuOnPeer& world, const Result<Done>& result, std::size_t step, Fault fault) const {
    if (succeeds(step, fault)) {
      EXPECT_TRUE(result) << result.error().describe();
      return;
    }
    ASSERT_FALSE(result) << "a failed step went unnoticed";
    const auto& error = result.error();
    EXPECT_EQ(to_string(error.outcome), to_string(wanted(step, fault))) << error.describe();
    // I2: only the target's own words may say that something is absent.
    if (fault != Fault::error_19 && fault != Fault::error_2) {
      EXPECT_NE(error.code, Errc::not_found) << error.describe();
    }
    if (fault == Fault::cancelled) {
      EXPECT_EQ(error.code, Errc::cancelled) << error.describe();
    }
    if (fault == Fault::silence || fault == Fault::other_id) {
      EXPECT_EQ(error.code, Errc::timeout) << error.describe();
    }
    // A refusal of our own after a positive "absent" names the step, every other failure its text too.
    EXPECT_TRUE(error.step == c.script[step].method ||
                error.text.find(c.script[step].method) != std::string::npos)
        << error.describe();
    EXPECT_EQ(error.peer, "memory:peer");
    if (!is_error_object(fault) && !reads_only(c.script[step].method)) {
      EXPECT_EQ(world.count(c.script[step].method), sunny_count(step))
          << "a mutation of unknown outcome was sent again";
    }
  }
  // How often the method of that step is sent up to it when all goes well.
  std::size_t sunny_count(std::size_t step) const {
    std::size_t n = 0;
    for (std::size_t i = 0; i <= step; ++i) n += c.script[i].method == c.script[step].method ? 1 : 0;
    return n;
  }
  void heal(DpuOnPeer& world) const {
    world.peer.fault = [](const Seen&) { return Fault::none; };
    world.mode = DpuOnPeer::Mode::skipping;
    // After a silent mutation its lane stays shut until the answer comes, or it was waited for long enough.
    for (int i = 0; i < 5; ++i) {
      world.run<std::uint64_t>([&world] { return world.dpu->wait_generation(0, world.soon()); });
      world.play(c.script);
      auto again = world.run<Done>([this, &world] { return c.run(*world.dpu, world.soon()); });
      if (again) return;
    }
    ADD_FAILURE() << "the client did not heal";
  }
};

TEST_P(F1, EveryStepEveryFault) {
  std::size_t points = 0;
  {
    DpuOnPeer sunny(c.kind, "", c.listener);
    sunny.play(c.script);
    auto result = sunny.run<Done>([this, &sunny] { return c.run(*sunny.dpu, sunny.soon()); });
    ASSERT_TRUE(result) << result.error().describe();
    ASSERT_EQ(sunny.at, c.script.size()) << "the script was not played to its end";
    ASSERT_EQ(sunny.peer.seen.size(), c.script.size());
  }
  for (std::size_t step = 0; step < c.script.size(); ++step) {
    for (auto fault : all_faults()) {
      SCOPED_TRACE("step " + std::to_string(step) + " " + c.script[step].method + ", " + name_of(fault));
      DpuOnPeer world(c.kind, "", c.listener);
      world.mode = DpuOnPeer::Mode::frozen;
      world.play(c.script);
      std::size_t index = 0;
      world.peer.fault = [&index, step, fault](const Seen&) { return index++ == step ? fault : Fault::none; };
      auto began = MonoClock::now();
      auto result = world.run<Done>([this, &world] { return c.run(*world.dpu, world.soon()); });
      EXPECT_LE(MonoClock::now() - began, seconds(61)) << "it ended after its deadline";
      check(world, result, step, fault);
      if (fault != Fault::cancelled) heal(world);
      ++points;
      if (HasFailure()) return;
    }
  }
  RecordProperty("points", static_cast<int>(points));
  std::printf("F1 %s: %zu steps, %zu points\n", c.name.c_str(), c.script.size(), points);
}

INSTANTIATE_TEST_SUITE_P(Methods, F1, testing::ValuesIn(all_cases()),
                         [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace vnvme
