// A Handler that writes down what it was asked and answers what the test set.
#pragma once
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <string>
#include <vector>

#include "smapi/dispatch.hpp"

namespace vnvme::smapi::testing {

inline const std::string kSr = "11111111-2222-3333-4444-555555555555";
inline const std::string kVolume = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
inline const std::string kSnapshot = "0a0a0a0a-bbbb-4ccc-8ddd-eeeeeeeeeeee";

inline Volume a_volume() {
  Volume v;
  v.key = VolumeId(kVolume);
  v.sr = SrId(kSr);
  v.name = "disk \"one\"";
  v.virtual_size = GiB(20);
  v.physical_utilisation = MiB(4);
  v.keys = {{"vdi-type", "user"}};
  return v;
}

inline SrStat a_stat() {
  SrStat s;
  s.sr = SrId(kSr);
  s.name = "fast";
  s.free_space = GiB(1);
  s.total_space = GiB(2);
  return s;
}

class FakeHandler : public Handler {
 public:
  std::vector<std::string> asked;       // "Volume.create(sr, name, ...)" in the order of arrival
  std::optional<Error> error;           // every call fails with it
  std::optional<std::string> recalled;  // what recall() answers
  std::vector<Context> contexts;
  Volume volume = a_volume();
  SrStat stat = a_stat();
  std::vector<Volume> volumes{a_volume()};
  std::vector<Probe> probes;
  Backend backend{{Backend::XenDisk{"p", {{"k", "v"}}, "9pfs"}, Backend::File{"/run/f"},
                   Backend::BlockDevice{"/dev/nvme0n1"}}};

  std::optional<std::string> recall(const RequestId&) override { return recalled; }
  Task<Result<void>> printing(Context c, std::string answer) override {
    return done(c, {"printing", answer});
  }
  void abandoned(const RequestId&) override {}

  Task<Result<std::vector<Probe>>> sr_probe(Context c, Strings m) override {
    return give(c, probes, {flat(m)});
  }
  Task<Result<Strings>> sr_create(Context c, SrId s, Strings m, std::string n, std::string d) override {
    return give(c, m, {s.value, flat(m), n, d});
  }
  Task<Result<SrId>> sr_attach(Context c, Strings m) override { return give(c, SrId(kSr), {flat(m)}); }
  Task<Result<void>> sr_detach(Context c, SrId s) override { return done(c, {s.value}); }
  Task<Result<void>> sr_destroy(Context c, SrId s) override { return done(c, {s.value}); }
  Task<Result<SrStat>> sr_stat(Context c, SrId s) override { return give(c, stat, {s.value}); }
  Task<Result<std::vector<Volume>>> sr_ls(Context c, SrId s) override { return give(c, volumes, {s.value}); }
  Task<Result<void>> sr_set_name(Context c, SrId s, std::string t) override { return done(c, {s.value, t}); }
  Task<Result<void>> sr_set_description(Context c, SrId s, std::string t) override {
    return done(c, {s.value, t});
  }

  Task<Result<Volume>> volume_create(Context c, SrId s, std::string n, std::string d, Bytes b,
                                     bool sharable) override {
    return give(c, volume, {s.value, n, d, std::to_string(b.value), sharable ? "sharable" : "own"});
  }
  Task<Result<Volume>> volume_snapshot(Context c, SrId s, VolumeId v) override {
    return give(c, volume, {s.value, v.value});
  }
  Task<Result<Volume>> volume_clone(Context c, SrId s, VolumeId v) override {
    return give(c, volume, {s.value, v.value});
  }
  Task<Result<void>> volume_destroy(Context c, SrId s, VolumeId v) override {
    return done(c, {s.value, v.value});
  }
  Task<Result<Volume>> volume_stat(Context c, SrId s, VolumeId v) override {
    return give(c, volume, {s.value, v.value});
  }
  Task<Result<void>> volume_set_name(Context c, SrId s, VolumeId v, std::string t) override {
    return done(c, {s.value, v.value, t});
  }
  Task<Result<void>> volume_set_description(Context c, SrId s, VolumeId v, std::string t) override {
    return done(c, {s.value, v.value, t});
  }
  Task<Result<void>> volume_set(Context c, SrId s, VolumeId v, std::string k, std::string t) override {
    return done(c, {s.value, v.value, k, t});
  }
  Task<Result<void>> volume_unset(Context c, SrId s, VolumeId v, std::string k) override {
    return done(c, {s.value, v.value, k});
  }
  Task<Result<void>> volume_resize(Context c, SrId s, VolumeId v, Bytes b) override {
    return done(c, {s.value, v.value, std::to_string(b.value)});
  }
  Task<Result<void>> volume_revert(Context c, SrId s, VolumeId from, VolumeId v) override {
    return done(c, {s.value, from.value, v.value});
  }

  Task<Result<Backend>> datapath_attach(Context c, std::string u, std::string d) override {
    return give(c, backend, {u, d});
  }
  Task<Result<void>> datapath_activate(Context c, std::string u, std::string d, bool ro) override {
    return done(c, {u, d, ro ? "ro" : "rw"});
  }
  Task<Result<void>> datapath_deactivate(Context c, std::string u, std::string d) override {
    return done(c, {u, d});
  }
  Task<Result<void>> datapath_detach(Context c, std::string u, std::string d) override {
    return done(c, {u, d});
  }

 private:
  using Words = std::vector<std::string>;
  static std::string flat(const Strings& m) {
    std::string out;
    for (const auto& [k, v] : m) out += (out.empty() ? "" : ";") + k + "=" + v;
    return "{" + out + "}";
  }
  void note(const Context& c, const Words& words) {
    std::string line;
    for (const auto& w : words) line += (line.empty() ? "" : ", ") + w;
    asked.push_back(c.method + "(" + line + ")");
    contexts.push_back(c);
  }
  template <class T>
  Task<Result<T>> give(Context c, T value, Words words) {
    note(c, words);
    if (error) co_return fail(*error);
    co_return value;
  }
  Task<Result<void>> done(Context c, Words words) {
    note(c, words);
    if (error) co_return fail(*error);
    co_return Result<void>{};
  }
};

// Runs a task to its end on the spot; nothing when it did not end by itself.
template <class T>
std::optional<T> finish(Task<T> task) {
  boost::asio::io_context io;
  std::optional<T> out;
  boost::asio::co_spawn(io, std::move(task), [&out](std::exception_ptr e, T value) {
    if (!e) out.emplace(std::move(value));
  });
  io.run();
  return out;
}

inline CallFrame a_call(std::string method, std::string body) {
  return CallFrame{RequestId("99999999-2222-4333-8444-555555555555"), std::move(method), "vnvme",
                   Deadline::after(std::chrono::seconds(5)), std::move(body)};
}

inline Answer ask(Handler& handler, std::string method, std::string body) {
  auto answer = finish(dispatch(handler, a_call(std::move(method), std::move(body))));
  return answer.value_or(Answer{frame::Type::error, 0, "dispatch did not finish"});
}

}  // namespace vnvme::smapi::testing
