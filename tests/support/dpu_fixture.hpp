// A Dpu on a scripted peer, and texts of answers as real targets give them.
#pragma once
#include <fstream>
#include <string>
#include <vector>

#include "dpu/spdk/spdk_dpu.hpp"
#include "support/dialogue.hpp"

namespace vnvme::test {

inline constexpr const char* kPool = "55af6ed8-bd39-4882-9683-61abe84fffcc";
inline constexpr const char* kVol = "3501c9f8-15bd-4fde-b188-b225ff03fd3c";
inline constexpr const char* kVol2 = "45a76ffc-c11a-487a-94a6-fe94ec476f60";
inline const std::string kNqn = "nqn.2026-11.io.vnvme:f-VM1";
inline const std::string kForeignNqn = "nqn.2016-06.io.spdk:cnode1";

inline std::string pools_text() {
  return std::string(R"([{"uuid":")") + kPool +
         R"(","name":"lvs0","base_bdev":"aio0","total_data_clusters":2039,"free_clusters":1000,"block_size":4096,"cluster_size":1048576}])";
}

struct VolText {
  std::string uuid = kVol, name = "v";
  std::uint64_t blocks = 25600;  // of 4 KiB: 100 MiB
  bool claimed = false, snapshot = false;
  std::uint64_t iops = 0;
  std::string extra = {};
};
inline std::string vol_text(const VolText& v = {}) {
  return R"({"name":")" + v.uuid + R"(","aliases":["lvs0/)" + v.name +
         R"("],"product_name":"Logical Volume","block_size":4096,"num_blocks":)" + std::to_string(v.blocks) +
         R"(,"uuid":")" + v.uuid + R"(","assigned_rate_limits":{"rw_ios_per_sec":)" + std::to_string(v.iops) +
         R"(,"rw_mbytes_per_sec":0},"claimed":)" + (v.claimed ? "true" : "false") +
         R"(,"supported_io_types":{"read":true,"write":true},"driver_specific":{"lvol":{"lvol_store_uuid":")" +
         kPool + R"(","base_bdev":"aio0","thin_provision":true,"num_allocated_clusters":3,"snapshot":)" +
         (v.snapshot ? "true" : "false") + R"(,"clone":false)" + v.extra + "}}}";
}
inline std::string drive_text(const std::string& name) {
  return R"({"name":")" + name +
         R"(","aliases":[],"product_name":"AIO disk","block_size":4096,"num_blocks":524288,"claimed":false,"driver_specific":{"aio":{"filename":"x"}}})";
}
inline std::string subsystem_text(const std::string& nqn, const std::string& serial,
                                  const std::string& namespaces = "") {
  return R"({"nqn":")" + nqn +
         R"(","subtype":"NVMe","listen_addresses":[],"allow_any_host":true,"hosts":[],"serial_number":")" +
         serial + R"(","model_number":"vnvme","max_namespaces":32,"namespaces":[)" + namespaces + "]}";
}
inline std::string namespace_text(unsigned nsid, const std::string& bdev, const std::string& uuid) {
  return R"({"nsid":)" + std::to_string(nsid) + R"(,"bdev_name":")" + bdev + R"(","name":")" + bdev +
         R"(","uuid":")" + uuid + R"("})";
}
inline std::string list(std::initializer_list<std::string> items) {
  std::string out = "[";
  for (const auto& item : items) out += (out.size() > 1 ? "," : "") + item;
  return out + "]";
}

enum class Kind { v26, v23, snap };

inline std::string methods_text(Kind kind) {
  std::vector<std::string> names{
      "rpc_get_methods",        "spdk_get_version",          "bdev_get_bdevs",
      "bdev_wait_for_examine",  "bdev_get_iostat",           "bdev_set_qos_limit",
      "bdev_lvol_get_lvstores", "bdev_lvol_create_lvstore",  "bdev_lvol_delete_lvstore",
      "bdev_lvol_create",       "bdev_lvol_snapshot",        "bdev_lvol_clone",
      "bdev_lvol_resize",       "bdev_lvol_rename",          "bdev_lvol_delete",
      "bdev_lvol_inflate",      "bdev_lvol_decouple_parent", "bdev_lvol_set_read_only",
      "bdev_raid_create",       "bdev_raid_get_bdevs",       "bdev_raid_delete"};
  if (kind != Kind::v23) names.push_back("bdev_lvol_get_lvols");
  if (kind == Kind::snap)
    for (const char* name : {"emulation_function_list", "nvme_function_create", "nvme_subsystem_list"})
      names.push_back(name);
  else
    for (const char* name : {"nvmf_get_subsystems", "nvmf_create_subsystem"}) names.push_back(name);
  return Json(names).dump();
}
inline std::string version_text(Kind kind) {
  return kind == Kind::v23 ? R"({"version":"SPDK v23.01","fields":{"major":23,"minor":1}})"
                           : R"({"version":"SPDK v26.05","fields":{"major":26,"minor":5}})";
}

// One exchange of a conversation. With `params` set they must be exactly these.
struct Exchange {
  std::string method;
  std::string answer;
  std::optional<Json> params = std::nullopt;
};

class DpuOnPeer {
 public:
  explicit DpuOnPeer(Kind k = Kind::v26, std::string clear_method = "",
                     std::optional<dpu::spdk::Listener> listener = {})
      : kind(k), peer(io, [this](const Seen& seen) { return reply(seen); }) {
    dpu = dpu::spdk::make_spdk_dpu(io, std::make_unique<PeerConnector>(peer), std::move(clear_method),
                                   std::move(listener));
    peer.on_cancel = [this] { dpu->shutdown(); };
    auto up = drive<Result<std::uint64_t>>(
        io, [this] { return dpu->wait_generation(0, Deadline::after(std::chrono::minutes(1))); });
    EXPECT_TRUE(up && *up);
    peer.seen.clear();
  }
  ~DpuOnPeer() {
    dpu.reset();
    settle(io);
  }
  DpuOnPeer(const DpuOnPeer&) = delete;
  DpuOnPeer& operator=(const DpuOnPeer&) = delete;

  void play(std::vector<Exchange> next) {
    script = std::move(next);
    at = 0;
  }
  template <class T>
  Result<T> run(std::function<Task<Result<T>>()> make) {
    auto done = drive<Result<T>>(io, std::move(make));
    EXPECT_TRUE(done) << "the call never ended";
    return done ? std::move(*done) : fail(Errc::internal, "the call never ended");
  }
  // Requests of that method since the session came up.
  std::size_t count(std::string_view method) const {
    std::size_t n = 0;
    for (const auto& seen : peer.seen) n += seen.method == method ? 1 : 0;
    return n;
  }
  Deadline soon() { return Deadline::after(std::chrono::seconds(60)); }

  StillClock clock;
  boost::asio::io_context io;
  Kind kind;
  std::vector<Exchange> script;
  std::size_t at = 0;
  // What a request out of script gets: a failure of the test; the latest answer to that question (the state
  // is what it was); or the next one in the script (steps may be left out).
  enum class Mode { strict, frozen, skipping } mode = Mode::strict;
  Peer peer;
  std::unique_ptr<dpu::Dpu> dpu;

 private:
  std::optional<std::string> reply(const Seen& seen) {
    if (at < script.size() && script[at].method == seen.method) {
      const auto& now = script[at++];
      if (now.params) {
        EXPECT_EQ(seen.params, *now.params) << seen.method;
      }
      return now.answer;
    }
    if (seen.method == "rpc_get_methods") return methods_text(kind);
    if (seen.method == "spdk_get_version") return version_text(kind);
    for (auto i = at; mode == Mode::skipping && i < script.size(); ++i) {
      if (script[i].method != seen.method) continue;
      at = i + 1;
      return script[i].answer;
    }
    for (auto i = std::min(at + 1, script.size()); mode == Mode::frozen && i-- > 0;)
      if (script[i].method == seen.method) return script[i].answer;
    if (mode == Mode::strict) ADD_FAILURE() << "out of script: " << seen.method << " " << seen.params.dump();
    return std::string(R"(!{"code":-32601,"message":"Method not found"})");
  }
};

inline std::vector<Json> read_jsonl(const std::string& path) {
  std::vector<Json> out;
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::string line;
  while (std::getline(file, line)) {
    auto json = parse_json(line);
    EXPECT_TRUE(json) << path;
    if (json) out.push_back(std::move(*json));
  }
  return out;
}

}  // namespace vnvme::test
