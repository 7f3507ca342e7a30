// Version, method list, subsystems, notifications.
#include <signal.h>

#include "dpusim/methods.hpp"
#include "dpusim/params.hpp"
#include "dpusim/target.hpp"

namespace vnvme::sim {
namespace {

Json version(const Profile& profile) {
  if (profile.v26)
    return {
        {"version", "SPDK v26.05 git sha1 d519b163cb"},
        {"fields", {{"major", 26}, {"minor", 5}, {"patch", 0}, {"suffix", ""}, {"commit", "d519b163cb"}}}};
  return {{"version", "SPDK v23.01 git sha1 10edc60aa8"},
          {"fields", {{"major", 23}, {"minor", 1}, {"patch", 0}, {"suffix", ""}, {"commit", "10edc60aa8"}}}};
}

// The subsystems that stand behind the methods of this program.
Json subsystems(bool v26) {
  auto one = [](const char* name, std::vector<std::string> needs) {
    return Json{{"subsystem", name}, {"depends_on", needs}};
  };
  Json out = Json::array({one("sock", {}), one("iobuf", {})});
  out.push_back(one("accel", {"iobuf"}));
  out.push_back(one("bdev", v26 ? std::vector<std::string>{"accel", "sock", "iobuf"}
                                : std::vector<std::string>{"accel", "sock"}));
  out.push_back(one("nvmf", {"bdev", "sock"}));
  return out;
}

Reply methods(const Target& target, const Json* params) {
  auto args = Args::decode(params, {{"current", Type::boolean}, {"include_aliases", Type::boolean}});
  if (!args) return refuse_decode();
  bool now = args->flag("current");  // only what may be called in this state
  Json out = Json::array();
  for (const auto& [name, handler] : target.methods())
    if (!name.starts_with("sim_") && !(now && name == "framework_start_init")) out.push_back(name);
  return out;
}

// As from outside: the answer is sent before a signal that can be handled is.
Reply kill_instance(const Json* params) {
  static const std::map<std::string, int> signals = {{"SIGINT", SIGINT},
                                                     {"SIGTERM", SIGTERM},
                                                     {"SIGQUIT", SIGQUIT},
                                                     {"SIGHUP", SIGHUP},
                                                     {"SIGKILL", SIGKILL}};
  auto args = Args::decode(params, {{"sig_name", Type::text, true}});
  auto it = args ? signals.find(*args->text("sig_name")) : signals.end();
  if (it == signals.end()) return refuse_nvmf();
  ::raise(it->second);
  return true;
}

Reply notifications(const Target& target, const Json* params) {
  auto args = Args::decode(params, {{"id", Type::number}, {"max", Type::number}});
  if (!args) return refuse_decode();
  auto from = args->number_or("id", 0), most = args->number_or("max", UINT64_MAX);
  Json out = Json::array();
  for (const auto& n : target.notifications)
    if (n.id >= from && out.size() < most) out.push_back({{"type", n.type}, {"ctx", n.ctx}, {"id", n.id}});
  return out;
}

}  // namespace

void add_framework_methods(Target& target) {
  Target* t = &target;
  t->on_sync("spdk_get_version", [t](const Json* params) -> Reply {
    if (params != nullptr) return refuse(kInvalidParams, "spdk_get_version method requires no parameters");
    return version(t->profile);
  });
  t->on_sync("rpc_get_methods", [t](const Json* params) { return methods(*t, params); });
  t->on_sync("framework_get_subsystems", [t](const Json* params) -> Reply {
    if (params != nullptr) return refuse(kInvalidParams, "'framework_get_subsystems' requires no arguments");
    return subsystems(t->profile.v26);
  });
  t->on_sync("framework_wait_init", [](const Json*) -> Reply { return true; });
  t->on_sync("framework_start_init", [](const Json*) -> Reply {
    return refuse(
        -1,
        "Method may only be called before framework is initialized. Use --wait-for-rpc command line "
        "parameter and then issue this RPC before the framework_start_init RPC.");
  });
  t->on_sync("bdev_wait_for_examine", [](const Json* params) -> Reply {
    if (params != nullptr) return refuse(kInvalidParams, "bdev_wait_for_examine requires no parameters");
    return true;
  });
  t->on_sync("notify_get_types", [](const Json* params) -> Reply {
    if (params != nullptr) return refuse(kInvalidParams, "No parameters required");
    return Json::array({"bdev_register", "bdev_unregister", "bdev_resize"});
  });
  t->on_sync("notify_get_notifications", [t](const Json* params) { return notifications(*t, params); });
  t->on_sync("spdk_kill_instance", [](const Json* params) { return kill_instance(params); });
  t->on_sync("log_get_level", [](const Json*) -> Reply { return "NOTICE"; });
}

}  // namespace vnvme::sim
