"""Azure's geographies: a backup is restored only in the one where it was made.

From "Azure geographies" (https://learn.microsoft.com/azure/reliability/regions-list). A region that is missing here
is not known, and then nothing is claimed about it.
"""

from __future__ import annotations

_REGIONS = {
    "United States": "centralus eastus eastus2 northcentralus southcentralus westcentralus westus westus2 westus3",
    "Europe": "northeurope westeurope",
    "Asia Pacific": "eastasia southeastasia",
    "Australia": "australiacentral australiacentral2 australiaeast australiasoutheast",
    "Austria": "austriaeast",
    "Brazil": "brazilsouth brazilsoutheast",
    "Canada": "canadacentral canadaeast",
    "France": "francecentral francesouth",
    "Germany": "germanynorth germanywestcentral",
    "India": "centralindia southindia westindia",
    "Israel": "israelcentral",
    "Italy": "italynorth",
    "Japan": "japaneast japanwest",
    "Korea": "koreacentral koreasouth",
    "Mexico": "mexicocentral",
    "New Zealand": "newzealandnorth",
    "Norway": "norwayeast norwaywest",
    "Poland": "polandcentral",
    "Qatar": "qatarcentral",
    "South Africa": "southafricanorth southafricawest",
    "Spain": "spaincentral",
    "Sweden": "swedencentral swedensouth",
    "Switzerland": "switzerlandnorth switzerlandwest",
    "United Arab Emirates": "uaecentral uaenorth",
    "United Kingdom": "uksouth ukwest",
    "Azure Government": "usdodcentral usdodeast usgovarizona usgovtexas usgovvirginia",
    "China": "chinaeast chinaeast2 chinaeast3 chinanorth chinanorth2 chinanorth3",
}
_OF = {region: name for name, regions in _REGIONS.items() for region in regions.split()}


def geography_of(location: str) -> str:
    """The geography of a region such as "westeurope" or "West Europe"; "" when it is not known."""
    return _OF.get(location.lower().replace(" ", ""), "")
