#include "dpusim/nvmf.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>

#include "dpusim/initiator.hpp"
#include "dpusim/target.hpp"
#include "vnvme/ids.hpp"

namespace vnvme::sim {
namespace {

constexpr const char* kDiscovery = "nqn.2014-08.org.nvmexpress.discovery";

bool valid_nqn(const std::string& nqn) {
  if (nqn.size() < 12 || nqn.size() > 223 || !nqn.starts_with("nqn.")) return false;
  for (std::size_t i : {4, 5, 6, 7, 9, 10})
    if (std::isdigit(static_cast<unsigned char>(nqn[i])) == 0) return false;
  auto colon = nqn.find(':');
  return nqn[8] == '-' && nqn[11] == '.' && colon != std::string::npos && colon + 1 < nqn.size();
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

bool hex_of(const std::string& text, std::size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
}

bool local_address(const std::string& text) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (::inet_pton(AF_INET, text.c_str(), &address.sin_addr) != 1) return false;
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  bool ok = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return ok;
}

bool is_folder(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

bool exists(const std::string& path) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0;
}

}  // namespace

Nvmf::Subsystem* Nvmf::find(const std::optional<Args>& args) {
  if (!args) return nullptr;
  auto it = subsystems_.find(args->text_or("nqn", ""));
  return it == subsystems_.end() ? nullptr : &it->second;
}

Reply Nvmf::create_transport(const Json* params) {
  std::vector<Field> fields = {{"trtype", Type::text, true}, {"tgt_name", Type::text}};
  for (const char* name :
       {"max_queue_depth", "max_io_qpairs_per_ctrlr", "max_qpairs_per_ctrlr", "in_capsule_data_size",
        "max_io_size", "io_unit_size", "max_aq_depth", "num_shared_buffers", "buf_cache_size",
        "sock_priority", "acceptor_backlog", "abort_timeout_sec", "control_msg_num"})
    fields.push_back({name, Type::number});
  for (const char* name : {"dif_insert_or_strip", "zcopy", "c2h_success", "disable_mappable_bar0"})
    fields.push_back({name, Type::boolean});
  auto args = Args::decode(params, fields);
  if (!args) return refuse_nvmf();
  auto given = *args->text("trtype"), type = upper(given);
  if (type != "TCP" && type != "VFIOUSER")
    return refuse(kInvalidParams, "Invalid transport type '" + given + "'");
  if (std::find(transports_.begin(), transports_.end(), type) != transports_.end())
    return refuse(kInternal, "Transport type '" + type + "' already exists");
  transports_.push_back(type);
  return true;
}

Reply Nvmf::get_transports(const Json* params) const {
  auto args = Args::decode(params, {{"trtype", Type::text}, {"tgt_name", Type::text}});
  if (!args) return refuse_nvmf();
  Json out = Json::array();
  for (const auto& type : transports_) {
    if (auto only = args->text("trtype"); only && upper(*only) != type) continue;
    bool tcp = type == "TCP";
    Json one = {{"trtype", type},
                {"max_queue_depth", tcp ? 128 : 256},
                {"max_io_qpairs_per_ctrlr", 127},
                {"in_capsule_data_size", tcp ? 4096 : 0},
                {"max_io_size", 131072},
                {"max_aq_depth", tcp ? 128 : 32},
                {"dif_insert_or_strip", false},
                {"zcopy", false},
                {"abort_timeout_sec", tcp ? 1 : 0}};
    if (target_.profile.v26) {
      std::uint64_t cache = tcp ? 4294967295 : 0;
      one.update({{"iobuf_small_cache_size", cache},
                  {"iobuf_large_cache_size", cache},
                  {"ack_timeout", 0},
                  {"data_wr_pool_size", 0},
                  {"disable_command_passthru", false},
                  {"kas", 100},
                  {"min_kato", 10000}});
    }
    if (tcp) one.update({{"c2h_success", true}, {"sock_priority", 0}});
    out.push_back(std::move(one));
  }
  return out;
}

Reply Nvmf::create_subsystem(const Json* params) {
  bool v26 = target_.profile.v26;
  auto args = Args::decode(params, {{"nqn", Type::text, true},
                                    {"tgt_name", Type::text},
                                    {"serial_number", Type::text},
                                    {"model_number", Type::text},
                                    {"max_namespaces", Type::number},
                                    {"allow_any_host", Type::boolean},
                                    {"ana_reporting", Type::boolean},
                                    {"min_cntlid", Type::number},
                                    {"max_cntlid", Type::number},
                                    {"max_discard_size_kib", Type::number, false, v26},
                                    {"max_write_zeroes_size_kib", Type::number, false, v26},
                                    {"passthrough", Type::boolean, false, v26},
                                    {"enable_nssr", Type::boolean, false, v26}});
  if (!args) return refuse_nvmf();
  auto nqn = *args->text("nqn");
  if (!valid_nqn(nqn) || subsystems_.contains(nqn) || nqn == kDiscovery)
    return refuse(kInternal, "Unable to create subsystem " + nqn);
  Subsystem made;
  made.serial = args->text_or("serial_number", "00000000000000000000");
  made.model = args->text_or("model_number", "SPDK bdev Controller");
  made.max_namespaces = args->number_or("max_namespaces", 32);
  if (made.max_namespaces == 0) made.max_namespaces = 32;
  made.min_cntlid = args->number_or("min_cntlid", 1);
  made.max_cntlid = args->number_or("max_cntlid", 65519);
  made.any_host = args->flag("allow_any_host");
  if (made.serial.size() > 20)
    return v26 ? Reply(refuse_nvmf()) : Reply(refuse(kInvalidParams, "Invalid SN " + made.serial));
  if (made.model.size() > 40)
    return v26 ? Reply(refuse_nvmf()) : Reply(refuse(kInvalidParams, "Invalid MN " + made.model));
  if (made.min_cntlid > made.max_cntlid || made.min_cntlid == 0 || made.max_cntlid > 65519)
    return refuse(kInvalidParams, "Invalid cntlid range [" + std::to_string(made.min_cntlid) + "-" +
                                      std::to_string(made.max_cntlid) + "]");
  made.order = next_order_++;
  subsystems_[nqn] = std::move(made);
  return true;
}

Reply Nvmf::delete_subsystem(const Json* params) {
  auto args = Args::decode(params, {{"nqn", Type::text, true}, {"tgt_name", Type::text}});
  Subsystem* s = find(args);
  if (s == nullptr) return refuse_nvmf();
  while (!s->namespaces.empty()) drop(*args->text("nqn"), *s, s->namespaces.begin()->first);
  for (const auto& a : s->listeners)
    if (a.trtype == "VFIOUSER") ::unlink((a.traddr + "/cntrl").c_str());
  target_.initiator->subsystem_gone(*args->text("nqn"));
  subsystems_.erase(*args->text("nqn"));
  return true;
}

Json Nvmf::address_json(const Address& a, bool in_subsystem) const {
  Json out = {{"trtype", a.trtype}, {"adrfam", a.adrfam}, {"traddr", a.traddr}, {"trsvcid", a.trsvcid}};
  if (in_subsystem && !target_.profile.v26) out["transport"] = a.trtype;
  return out;
}

Json Nvmf::subsystem_json(const std::string& nqn, const Subsystem& s) const {
  Json listeners = Json::array(), hosts = Json::array(), namespaces = Json::array();
  for (const auto& a : s.listeners) listeners.push_back(address_json(a, true));
  for (const auto& h : s.hosts) hosts.push_back({{"nqn", h}});
  for (const auto& [nsid, ns] : s.namespaces) {
    Json one = {{"nsid", nsid}, {"bdev_name", ns.bdev}, {"name", ns.bdev}, {"uuid", ns.uuid}};
    if (!ns.nguid.empty()) one["nguid"] = ns.nguid;
    if (!ns.eui64.empty()) one["eui64"] = ns.eui64;
    namespaces.push_back(std::move(one));
  }
  Json out = {{"nqn", nqn},
              {"subtype", "NVMe"},
              {"listen_addresses", std::move(listeners)},
              {"allow_any_host", s.any_host},
              {"hosts", std::move(hosts)},
              {"serial_number", s.serial},
              {"model_number", s.model},
              {"max_namespaces", s.max_namespaces},
              {"min_cntlid", s.min_cntlid},
              {"max_cntlid", s.max_cntlid},
              {"namespaces", std::move(namespaces)}};
  if (target_.profile.v26) out.update({{"passthrough", false}, {"dmrsl", 2097152}, {"wzsl", 12}});
  return out;
}

Reply Nvmf::get_subsystems(const Json* params) const {
  auto args = Args::decode(params, {{"nqn", Type::text}, {"tgt_name", Type::text}});
  if (!args) return refuse_nvmf();
  Json out = Json::array();
  Json discovery = {{"nqn", kDiscovery},
                    {"subtype", "Discovery"},
                    {"listen_addresses", Json::array()},
                    {"allow_any_host", true},
                    {"hosts", Json::array()}};
  if (auto nqn = args->text("nqn"); nqn) {
    auto it = subsystems_.find(*nqn);
    if (it == subsystems_.end() && *nqn != kDiscovery) return refuse_errno(ENODEV);
    out.push_back(it == subsystems_.end() ? std::move(discovery) : subsystem_json(*nqn, it->second));
    return out;
  }
  out.push_back(std::move(discovery));
  std::map<std::uint64_t, const std::string*> ordered;
  for (const auto& [nqn, s] : subsystems_) ordered[s.order] = &nqn;
  for (const auto& [order, nqn] : ordered) out.push_back(subsystem_json(*nqn, subsystems_.at(*nqn)));
  return out;
}

// 0, or anything: the answer does not tell why.
int Nvmf::put_namespace(Subsystem& s, const Args& wanted, std::uint64_t* nsid) {
  Bdev* bdev = target_.bdevs.find(*wanted.text("bdev_name"));
  *nsid = wanted.number_or("nsid", 0);
  if (*nsid == 0)
    for (*nsid = 1; s.namespaces.contains(*nsid);) ++*nsid;
  if (bdev == nullptr || !bdev->claim.empty() || s.namespaces.contains(*nsid) || *nsid > s.max_namespaces)
    return EINVAL;
  Namespace ns{bdev->name, bdev->uuid, "", ""};
  if (auto uuid = wanted.text("uuid"); uuid) {
    auto good = parse_uuid(*uuid);
    if (!good) return EINVAL;
    ns.uuid = *good;
  }
  auto nguid = wanted.text("nguid"), eui64 = wanted.text("eui64");
  if ((nguid && !hex_of(*nguid, 32)) || (eui64 && !hex_of(*eui64, 16))) return EINVAL;
  ns.nguid = upper(nguid.value_or(uuid_hex(ns.uuid)));
  ns.eui64 = upper(eui64.value_or(""));
  bdev->claim = "exclusive_write";
  bdev->claimed_by = "nvmf";
  s.namespaces[*nsid] = std::move(ns);
  if (target_.nbd_open) (void)target_.nbd_open(*bdev);
  return 0;
}

Reply Nvmf::add_ns(const Json* params) {
  auto args = Args::decode(
      params, {{"nqn", Type::text, true}, {"namespace", Type::object, true}, {"tgt_name", Type::text}});
  Subsystem* s = find(args);
  bool v26 = target_.profile.v26;
  auto wanted = s == nullptr
                    ? std::nullopt
                    : Args::decode(args->raw("namespace"), {{"bdev_name", Type::text, true},
                                                            {"nsid", Type::number},
                                                            {"nguid", Type::text},
                                                            {"eui64", Type::text},
                                                            {"uuid", Type::text},
                                                            {"ptpl_file", Type::text},
                                                            {"anagrpid", Type::number},
                                                            {"no_auto_visible", Type::boolean, false, v26},
                                                            {"hide_metadata", Type::boolean, false, v26}});
  std::uint64_t nsid = 0;
  if (!wanted || put_namespace(*s, *wanted, &nsid) != 0) return refuse_nvmf();
  return nsid;
}

void Nvmf::drop(const std::string& nqn, Subsystem& s, std::uint64_t nsid) {
  target_.initiator->namespace_gone(nqn, nsid);
  auto it = s.namespaces.find(nsid);
  if (it == s.namespaces.end()) return;
  if (Bdev* bdev = target_.bdevs.find(it->second.bdev); bdev != nullptr && bdev->claimed_by == "nvmf") {
    if (target_.nbd_close) target_.nbd_close(*bdev);
    bdev->claim.clear();
    bdev->claimed_by.clear();
  }
  s.namespaces.erase(it);
}

Reply Nvmf::remove_ns(const Json* params) {
  auto args = Args::decode(
      params, {{"nqn", Type::text, true}, {"nsid", Type::number, true}, {"tgt_name", Type::text}});
  Subsystem* s = find(args);
  if (s == nullptr || !s->namespaces.contains(*args->number("nsid"))) return refuse_nvmf();
  drop(*args->text("nqn"), *s, *args->number("nsid"));
  return true;
}

void Nvmf::forget(const Bdev& bdev) {
  for (auto& [nqn, s] : subsystems_)
    for (auto it = s.namespaces.begin(); it != s.namespaces.end();) {
      auto nsid = it->first;
      bool gone = it->second.bdev == bdev.name;
      ++it;
      if (gone) drop(nqn, s, nsid);
    }
}

Json Nvmf::exposures() const {
  Json out = Json::array();
  for (const auto& [nqn, s] : subsystems_)
    for (const auto& [nsid, ns] : s.namespaces)
      out.push_back(
          {{"nqn", nqn}, {"nsid", nsid}, {"bdev", ns.bdev}, {"uuid", ns.uuid}, {"nguid", ns.nguid}});
  return out;
}

std::optional<std::map<std::uint64_t, std::string>> Nvmf::reachable(const std::string& nqn,
                                                                    const std::string& traddr,
                                                                    const std::string& trsvcid) const {
  auto it = subsystems_.find(nqn);
  if (it == subsystems_.end()) return std::nullopt;
  const auto& listeners = it->second.listeners;
  bool there = std::any_of(listeners.begin(), listeners.end(), [&traddr, &trsvcid](const Address& a) {
    return a.trtype == "TCP" && a.traddr == traddr && a.trsvcid == trsvcid;
  });
  if (!there) return std::nullopt;
  std::map<std::uint64_t, std::string> out;
  for (const auto& [nsid, ns] : it->second.namespaces) out[nsid] = ns.bdev;
  return out;
}

std::pair<std::string, std::string> Nvmf::identity(const std::string& nqn) const {
  auto it = subsystems_.find(nqn);
  return it == subsystems_.end() ? std::pair<std::string, std::string>()
                                 : std::pair(it->second.serial, it->second.model);
}

Reply Nvmf::add_listener(const Json* params) {
  bool v26 = target_.profile.v26;
  auto args = Args::decode(params, {{"nqn", Type::text, true},
                                    {"listen_address", Type::address, true},
                                    {"tgt_name", Type::text},
                                    {"secure_channel", Type::boolean, false, v26},
                                    {"ana_state", Type::text, false, v26}});
  Subsystem* s = find(args);
  if (s == nullptr) return refuse_nvmf();
  const Json& wanted = *args->raw("listen_address");
  Address a{upper(text_of(wanted, "trtype").value_or("")), text_of(wanted, "adrfam").value_or(""),
            text_of(wanted, "traddr").value_or(""), text_of(wanted, "trsvcid").value_or("")};
  if (std::find(transports_.begin(), transports_.end(), a.trtype) == transports_.end()) return refuse_nvmf();
  if (a.trtype == "VFIOUSER") a.adrfam = "unknown";
  if (std::find(s->listeners.begin(), s->listeners.end(), a) != s->listeners.end())
    return v26 ? Reply(refuse_nvmf()) : Reply(true);
  auto socket = a.traddr + "/cntrl";
  if (a.trtype == "VFIOUSER" && (!is_folder(a.traddr) || exists(socket) || !write_file(socket, "")))
    return refuse_nvmf();
  if (a.trtype == "TCP" && !local_address(a.traddr)) return refuse_nvmf();
  s->listeners.push_back(std::move(a));
  return true;
}

Reply Nvmf::remove_listener(const Json* params) {
  auto args = Args::decode(
      params, {{"nqn", Type::text, true}, {"listen_address", Type::address, true}, {"tgt_name", Type::text}});
  Subsystem* s = find(args);
  if (s == nullptr) return refuse_nvmf();
  const Json& wanted = *args->raw("listen_address");
  auto type = upper(text_of(wanted, "trtype").value_or(""));
  auto gone = std::erase_if(s->listeners, [&wanted, &type](const Address& a) {
    return a.trtype == type && a.traddr == text_of(wanted, "traddr").value_or("") &&
           a.trsvcid == text_of(wanted, "trsvcid").value_or("");
  });
  if (gone == 0) return refuse_nvmf();
  if (type == "VFIOUSER") ::unlink((text_of(wanted, "traddr").value_or("") + "/cntrl").c_str());
  return true;
}

Reply Nvmf::add_host(const Json* params) {
  auto args =
      Args::decode(params, {{"nqn", Type::text, true}, {"host", Type::text, true}, {"tgt_name", Type::text}});
  Subsystem* s = find(args);
  if (s == nullptr) return refuse_nvmf();
  auto host = *args->text("host");
  if (std::find(s->hosts.begin(), s->hosts.end(), host) != s->hosts.end())
    return target_.profile.v26 ? Reply(refuse(kInternal, "Internal error")) : Reply(true);
  if (!valid_nqn(host)) return refuse_nvmf();
  s->hosts.push_back(host);
  return true;
}

Reply Nvmf::remove_host(const Json* params) {
  auto args =
      Args::decode(params, {{"nqn", Type::text, true}, {"host", Type::text, true}, {"tgt_name", Type::text}});
  Subsystem* s = find(args);
  if (s == nullptr || std::erase(s->hosts, *args->text("host")) == 0) return refuse_nvmf();
  return true;
}

Reply Nvmf::allow_any_host(const Json* params) {
  auto args = Args::decode(
      params, {{"nqn", Type::text, true}, {"allow_any_host", Type::boolean, true}, {"tgt_name", Type::text}});
  Subsystem* s = find(args);
  if (s == nullptr) return refuse_nvmf();
  s->any_host = args->flag("allow_any_host");
  return true;
}

Reply Nvmf::list_of(const Json* params, const std::string& what) const {
  auto args = Args::decode(params, {{"nqn", Type::text, true}, {"tgt_name", Type::text}});
  auto it = args ? subsystems_.find(*args->text("nqn")) : subsystems_.end();
  if (it == subsystems_.end()) return refuse_nvmf();
  if (what == "controllers") return target_.initiator->controllers_of(it->first);
  if (what == "qpairs") return target_.initiator->qpairs_of(it->first);
  Json out = Json::array();
  if (what == "listeners")
    for (const auto& a : it->second.listeners) out.push_back({{"address", address_json(a, false)}});
  return out;
}

void Nvmf::add_methods() {
  using Act = Reply (Nvmf::*)(const Json*);
  auto on = [this](const char* name, Act act) {
    target_.on_sync(name, [this, act](const Json* p) { return (this->*act)(p); });
  };
  on("nvmf_create_transport", &Nvmf::create_transport);
  on("nvmf_create_subsystem", &Nvmf::create_subsystem);
  on("nvmf_delete_subsystem", &Nvmf::delete_subsystem);
  on("nvmf_subsystem_add_ns", &Nvmf::add_ns);
  on("nvmf_subsystem_remove_ns", &Nvmf::remove_ns);
  on("nvmf_subsystem_add_listener", &Nvmf::add_listener);
  on("nvmf_subsystem_remove_listener", &Nvmf::remove_listener);
  on("nvmf_subsystem_add_host", &Nvmf::add_host);
  on("nvmf_subsystem_remove_host", &Nvmf::remove_host);
  on("nvmf_subsystem_allow_any_host", &Nvmf::allow_any_host);
  target_.on_sync("nvmf_get_transports", [this](const Json* p) { return get_transports(p); });
  target_.on_sync("nvmf_get_subsystems", [this](const Json* p) { return get_subsystems(p); });
  for (const char* what : {"listeners", "controllers", "qpairs"})
    target_.on_sync(std::string("nvmf_subsystem_get_") + what,
                    [this, what](const Json* p) { return list_of(p, what); });
}

}  // namespace vnvme::sim
