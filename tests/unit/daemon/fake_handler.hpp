// A handler whose calls a test holds and lets go; it counts what it is asked.
#pragma once
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <string>
#include <vector>

#include "core/json.hpp"
#include "daemon/wakeup.hpp"
#include "vnvme/admin.hpp"
#include "vnvme/smapi.hpp"

namespace vnvme::daemon {

class FakeHandler : public smapi::Handler, public AdminHandler {
 public:
  explicit FakeHandler(boost::asio::any_io_executor executor) : go_(executor) {}

  // While held, calls do not end. let_go() ends those that wait.
  bool held = false;
  bool hold_printing = false;
  bool printing_fails = false;
  std::vector<std::string> calls, printed, abandoned_ids;
  std::map<RequestId, std::string> ledger;
  std::vector<std::string> admin_calls;
  Json admin_answer = Json::object();
  void let_go() {
    held = hold_printing = false;
    go_.notify();
  }

  std::optional<std::string> recall(const RequestId& id) override {
    auto it = ledger.find(id);
    return it == ledger.end() ? std::nullopt : std::optional(it->second);
  }
  Task<Result<void>> printing(smapi::Context c, std::string answer) override {
    printed.push_back(c.request.str());
    while (hold_printing) co_await wait();
    if (printing_fails) co_return fail(Errc::io, "the store's disk is full");
    ledger[c.request] = answer;
    co_return Result<void>{};
  }
  void abandoned(const RequestId& id) override { abandoned_ids.push_back(id.str()); }

  Task<Result<smapi::Volume>> volume_create(smapi::Context c, SrId sr, std::string name, std::string,
                                            Bytes size, bool) override {
    calls.push_back(c.method + " " + name);
    while (held) co_await wait();
    if (name == "refused") co_return fail(Errc::no_space, "the pool is full");
    smapi::Volume v;
    v.key = VolumeId("c0ffee00-0000-4000-8000-000000000001");
    v.sr = sr;
    v.name = name;
    v.virtual_size = size;
    co_return v;
  }
  Task<Result<smapi::SrStat>> sr_stat(smapi::Context c, SrId sr) override {
    calls.push_back(c.method + " " + sr.str());
    while (held) co_await wait();
    smapi::SrStat stat;
    stat.sr = sr;
    co_return stat;
  }
  Task<Result<std::vector<smapi::Volume>>> sr_ls(smapi::Context c, SrId sr) override {
    calls.push_back(c.method + " " + sr.str());
    smapi::Volume v;
    v.key = VolumeId("c0ffee00-0000-4000-8000-000000000001");
    v.sr = sr;
    v.name = std::string(60000, 'n');
    co_return std::vector<smapi::Volume>(64, v);
  }
  Task<Result<Json>> admin(std::string verb, Json args, Deadline) override {
    admin_calls.push_back(verb + " " + dump_json(args));
    while (held) co_await wait();
    if (verb == "refuse") co_return fail(Errc::in_use, "somebody has it");
    co_return admin_answer;
  }

  Task<Result<std::vector<smapi::Probe>>> sr_probe(smapi::Context, smapi::Strings) override {
    co_return none();
  }
  Task<Result<smapi::Strings>> sr_create(smapi::Context, SrId, smapi::Strings, std::string,
                                         std::string) override {
    co_return none();
  }
  Task<Result<SrId>> sr_attach(smapi::Context, smapi::Strings) override { co_return none(); }
  Task<Result<void>> sr_detach(smapi::Context, SrId) override { co_return none(); }
  Task<Result<void>> sr_destroy(smapi::Context, SrId) override { co_return none(); }
  Task<Result<void>> sr_set_name(smapi::Context, SrId, std::string) override { co_return none(); }
  Task<Result<void>> sr_set_description(smapi::Context, SrId, std::string) override { co_return none(); }
  Task<Result<smapi::Volume>> volume_snapshot(smapi::Context, SrId, VolumeId) override { co_return none(); }
  Task<Result<smapi::Volume>> volume_clone(smapi::Context, SrId, VolumeId) override { co_return none(); }
  Task<Result<void>> volume_destroy(smapi::Context, SrId, VolumeId) override { co_return none(); }
  Task<Result<smapi::Volume>> volume_stat(smapi::Context, SrId, VolumeId) override { co_return none(); }
  Task<Result<void>> volume_set_name(smapi::Context, SrId, VolumeId, std::string) override {
    co_return none();
  }
  Task<Result<void>> volume_set_description(smapi::Context, SrId, VolumeId, std::string) override {
    co_return none();
  }
  Task<Result<void>> volume_set(smapi::Context, SrId, VolumeId, std::string, std::string) override {
    co_return none();
  }
  Task<Result<void>> volume_unset(smapi::Context, SrId, VolumeId, std::string) override { co_return none(); }
  Task<Result<void>> volume_resize(smapi::Context, SrId, VolumeId, Bytes) override { co_return none(); }
  Task<Result<void>> volume_revert(smapi::Context, SrId, VolumeId, VolumeId) override { co_return none(); }
  Task<Result<smapi::Backend>> datapath_attach(smapi::Context, std::string, std::string) override {
    co_return none();
  }
  Task<Result<void>> datapath_activate(smapi::Context, std::string, std::string, bool) override {
    co_return none();
  }
  Task<Result<void>> datapath_deactivate(smapi::Context, std::string, std::string) override {
    co_return none();
  }
  Task<Result<void>> datapath_detach(smapi::Context, std::string, std::string) override { co_return none(); }

 private:
  static tl::unexpected<Error> none() { return fail(Errc::not_supported, "not in this test"); }
  Task<void> wait() { co_await go_.wait(Deadline::after(std::chrono::hours(1000))); }

  Wakeup go_;
};

}  // namespace vnvme::daemon
