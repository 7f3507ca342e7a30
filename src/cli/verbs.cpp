#include "cli/verbs.hpp"

#include "cli/views.hpp"

namespace vnvme::cli {

using std::chrono::seconds;

namespace {

std::vector<Verb> what_there_is() {
  return {
      {"status",
       "everything at one glance: drives, pools, volumes, functions, VMs",
       "Draws each DPU as a tree: its SRs with their pool and drive, the volumes in them, and for each\n"
       "volume in use the PCI function and the VM that has it; then free drives, and what goes on in\n"
       "the background. Parts that a dead DPU cannot tell are shown as last known, with the reason.",
       {},
       {},
       {"vnvme status", "watch -c vnvme status --color always"},
       seconds(30),
       nullptr},
      {"dpu",
       "the DPUs, and whether they are connected",
       "One line a DPU: connection, family, version, how many sessions there were, and what is wrong.",
       {},
       {},
       {"vnvme dpu"},
       seconds(30),
       show_dpus},
      {"drives",
       "the DPUs' drives, and which of them can become a pool",
       "A drive that is free can be given to xe sr-create as device-config:drives. A drive that holds\n"
       "somebody's data is never taken without an explicit force for that one drive.",
       {},
       {{"--look", "look", Takes::nothing, "also read the free drives, whether they hold data"}},
       {"vnvme drives", "vnvme drives --look"},
       seconds(600),
       show_drives},
      {"pools",
       "the pools (lvol stores): size, free space, RAID state, SR",
       "One SR is one pool.",
       {},
       {},
       {"vnvme pools"},
       seconds(60),
       show_pools},
  };
}

std::vector<Verb> volumes_verb() {
  return {
      {"volumes",
       "the volumes: size, used space, state, who has them",
       "Volume ids are the VDI uuids of XAPI. A volume in state `trash` was destroyed and is being\n"
       "wiped; its space counts as used until that is done.",
       {},
       {{"--sr", "sr", Takes::text, "only those of that SR"}},
       {"vnvme volumes", "vnvme volumes --json | jq '.[] | select(.owner != \"\")'"},
       seconds(60),
       show_volumes},
  };
}

std::vector<Verb> what_goes_on() {
  return {
      {"functions",
       "the PCI functions: address, driver, reservation, namespaces",
       "A function that is not ours (another tool made its controller) is listed and never touched.",
       {},
       {},
       {"vnvme functions"},
       seconds(60),
       show_functions},
      {"attachments",
       "which VM has which volume, on which function",
       "Mode is decided when the VM activates the disk: before that it is `none`.",
       {},
       {},
       {"vnvme attachments"},
       seconds(60),
       show_attachments},
      {"events",
       "what happened lately",
       "The newest events since the daemon started, oldest first. The log has more detail.",
       {},
       {{"--last", "max", Takes::number, "at most that many (default 50)"},
        {"--since", "since", Takes::number,
         "only events after this number (`next` of an earlier --json answer)"},
        {"--follow", "follow", Takes::nothing, "go on showing new ones until interrupted"}},
       {"vnvme events", "vnvme events --follow"},
       seconds(30),
       show_events},
      {"doctor",
       "looks for everything that could go wrong, and says how to repair it",
       "Changes nothing. Exit code 4 when there is a problem, 0 when there are warnings at most.",
       {},
       {},
       {"vnvme doctor", "vnvme doctor --json"},
       seconds(600),
       show_doctor},
  };
}

std::vector<Verb> changes() {
  return {
      {"reserve",
       "gives a VM a PCI function, before it starts",
       "The function stays reserved for that VM until `vnvme unreserve`. Prints where it is, for the\n"
       "VM's PCI list. A VM that has one keeps it: asking twice is harmless.",
       {{"VM", "vm", true}},
       {{"--dpu", "dpu", Takes::text, "on that DPU (needed when there are several)"}},
       {"vnvme reserve 1b4e28ba-2fa1-11d2-883f-0016d3cca427"},
       seconds(120),
       show_reserved},
      {"unreserve",
       "takes a VM's function back",
       "Refused while the VM has a volume on it or its domain still exists.",
       {{"VM", "vm", true}},
       {},
       {"vnvme unreserve 1b4e28ba-2fa1-11d2-883f-0016d3cca427"},
       seconds(120),
       show_unreserved},
      {"adopt",
       "accepts SRs that were rebuilt from the DPU after the loss of the state file",
       "An SR whose records were lost is found again from its PBD, with its volumes and sizes. Names and\n"
       "keys come from their second copies; until all are back XAPI's scan of it is refused, because an\n"
       "empty name would make XAPI forget its own. Without options: shows what is missing.",
       {{"SR", "sr", false}},
       {{"--accept-missing", "accept_missing", Takes::nothing, "go on without what could not be found"}},
       {"vnvme adopt", "vnvme adopt --accept-missing"},
       seconds(120),
       show_adopted},
  };
}

}  // namespace

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> all = [] {
    std::vector<Verb> list;
    for (const auto& group : {what_there_is(), volumes_verb(), what_goes_on(), changes()})
      list.insert(list.end(), group.begin(), group.end());
    return list;
  }();
  return all;
}

const Verb* find_verb(std::string_view name) {
  for (const Verb& v : verbs())
    if (name == v.name) return &v;
  return nullptr;
}

}  // namespace vnvme::cli
