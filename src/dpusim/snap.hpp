// The functions that the card shows to the host: after NVIDIA SNAP-4, as its own orchestrator drives it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "dpusim/params.hpp"
#include "dpusim/rpc.hpp"
#include "dpusim/sysfs.hpp"

namespace vnvme::sim {

class Target;
struct Bdev;

class Snap {
 public:
  explicit Snap(Target& target);
  void add_methods();
  // Makes the functions: the static ones, and the hot-plugged ones that were there before a restart.
  Result<void> start();
  void forget(const Bdev& bdev);   // its namespaces have no device any more
  void resized(const Bdev& bdev);  // the host sees the new size
  [[nodiscard]] Json dump() const;

 private:
  struct Function {
    std::string vuid, bdf, controller;
    std::uint64_t vhca = 0, pf_index = 0, vf_index = 0;
    bool vf = false, hotplugged = false, plugged = false;
  };
  struct Namespace {
    std::string bdev, uuid, nguid, eui64, controller;
    bool ready = true;
  };
  struct Subsystem {
    std::string serial, model;
    std::uint64_t mnan = 1024, nn = 0xFFFFFFFE;
    std::map<std::uint64_t, Namespace> namespaces;
  };
  struct Controller {
    std::string nqn, vuid;
    std::uint64_t queues = 31, mdts = 7;
    bool started = true;
  };

  Reply list_functions(const Json* params) const;
  Reply create_function(const Json* params);
  Reply destroy_function(const Json* params);
  Reply list_subsystems(const Json* params) const;
  Reply create_subsystem(const Json* params);
  Reply destroy_subsystem(const Json* params);
  Reply list_namespaces(const Json* params) const;
  Reply create_namespace(const Json* params);
  Reply destroy_namespace(const Json* params);
  Reply list_controllers(const Json* params) const;
  Reply create_controller(const Json* params);
  Reply destroy_controller(const Json* params);
  Reply attach(const Json* params);
  Reply detach(const Json* params);
  Reply set_started(const Json* params, bool started);
  void plug(const Json* params, const Done& done, bool in);

  Function* wanted_function(const Args& args);
  [[nodiscard]] Function* by_vuid(const std::string& vuid);
  Controller* controller(const std::optional<Args>& args);
  Namespace* find_namespace(const std::string& nqn, std::uint64_t nsid);
  [[nodiscard]] bool visible(const Function& f) const;
  void show(Function& f);  // brings the host's view in line with what is
  void show_namespace(const Function& f, std::uint64_t nsid, const Namespace& ns);
  void detach_one(Controller& c, std::uint64_t nsid, Namespace& ns);
  std::string free_bdf() const;
  bool save() const;
  [[nodiscard]] Json function_json(const Function& f) const;
  [[nodiscard]] Json controller_json(const std::string& id, const Controller& c) const;
  [[nodiscard]] Json namespace_json(const std::string& nqn, std::uint64_t nsid, const Namespace& ns) const;

  Target& target_;
  Sysfs sysfs_;
  std::vector<Function> functions_;
  std::map<std::string, Subsystem> subsystems_;
  std::map<std::string, Controller> controllers_;
  std::uint64_t next_controller_ = 1;
};

}  // namespace vnvme::sim
