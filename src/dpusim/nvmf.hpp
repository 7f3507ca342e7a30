// NVMe-oF subsystems: names, namespaces, listeners, hosts. Nothing listens on the network: a namespace's data
// is reached through its NBD socket.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "dpusim/params.hpp"
#include "dpusim/rpc.hpp"

namespace vnvme::sim {

class Target;
struct Bdev;

class Nvmf {
 public:
  explicit Nvmf(Target& target) : target_(target) {}
  void add_methods();
  void forget(const Bdev& bdev);  // its namespaces vanish
  [[nodiscard]] Json exposures() const;
  // The namespaces (nsid -> bdev) of a subsystem that listens there; nothing when it does not.
  [[nodiscard]] std::optional<std::map<std::uint64_t, std::string>> reachable(
      const std::string& nqn, const std::string& traddr, const std::string& trsvcid) const;
  [[nodiscard]] std::pair<std::string, std::string> identity(const std::string& nqn) const;  // serial, model

 private:
  struct Namespace {
    std::string bdev, uuid, nguid, eui64;
  };
  struct Address {
    std::string trtype, adrfam, traddr, trsvcid;
    friend bool operator==(const Address&, const Address&) = default;
  };
  struct Subsystem {
    std::string serial, model;
    std::uint64_t max_namespaces = 32, min_cntlid = 1, max_cntlid = 65519;
    bool any_host = false;
    std::map<std::uint64_t, Namespace> namespaces;
    std::vector<Address> listeners;
    std::vector<std::string> hosts;
    std::uint64_t order = 0;
  };

  Reply create_transport(const Json* params);
  Reply get_transports(const Json* params) const;
  Reply create_subsystem(const Json* params);
  Reply delete_subsystem(const Json* params);
  Reply get_subsystems(const Json* params) const;
  Reply add_ns(const Json* params);
  Reply remove_ns(const Json* params);
  Reply add_listener(const Json* params);
  Reply remove_listener(const Json* params);
  Reply add_host(const Json* params);
  Reply remove_host(const Json* params);
  Reply allow_any_host(const Json* params);
  Reply list_of(const Json* params, const std::string& what) const;
  Subsystem* find(const std::optional<Args>& args);
  int put_namespace(Subsystem& subsystem, const Args& wanted, std::uint64_t* nsid);
  void drop(const std::string& nqn, Subsystem& subsystem, std::uint64_t nsid);
  [[nodiscard]] Json address_json(const Address& a, bool in_subsystem) const;
  [[nodiscard]] Json subsystem_json(const std::string& nqn, const Subsystem& s) const;

  Target& target_;
  std::map<std::string, Subsystem> subsystems_;
  std::vector<std::string> transports_;
  std::uint64_t next_order_ = 1;
};

}  // namespace vnvme::sim
