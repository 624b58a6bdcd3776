// kvadmin on Azure Container Apps, inside a virtual network, with PostgreSQL, a share for archives, and a managed
// identity. docs/install.md tells how to use it, and which rights on subscriptions come after it.

@description('Where everything lies.')
param location string = resourceGroup().location

@description('What names begin with: 3 to 12 small letters and digits.')
@minLength(3)
@maxLength(12)
param name string = 'kvadmin'

@description('The image of kvadmin in a registry of this resource group, such as myregistry.azurecr.io/kvadmin:0.1.0.')
param image string

@description('The name of that registry.')
param registryName string

@description('Where people open kvadmin, without https://. It may stay empty for the first deployment.')
param hostName string = ''

@description('Key vaults of this resource group whose values may be shown at all.')
param revealVaultNames string[] = []

@description('KVADMIN_SECRET_KEY: 50 random characters or more.')
@secure()
@minLength(50)
param secretKey string

@description('The password of the database.')
@secure()
@minLength(16)
param databasePassword string

@description('The password of the cache.')
@secure()
@minLength(16)
param cachePassword string

@description('KVADMIN_OIDC_CLIENT_ID: the app registration that people sign in with. Empty: local accounts only.')
param signInClientId string = ''

@description('KVADMIN_OIDC_GROUPS, such as Kv.Readers=Readers, Kv.Platform=Platform')
param signInGroups string = ''

// Built-in roles, by their ids.
var roles = {
  keyVaultSecretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
  logAnalyticsDataReader: '3b03c2da-16b3-4a49-8834-0f8130efdd3b'
  monitoringReader: '43d0d8ad-25c7-4714-9337-8ba259a9fe05'
  acrPull: '7f951dda-4ed3-4680-a7ca-43fe172d538d'
}
var webName = '${name}-web'
var cacheName = '${name}-cache'
var openedAt = empty(hostName) ? '${webName}.${environment.properties.defaultDomain}' : hostName

// --- The identity, and what it may do within this resource group ----------------------------------------------------

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: name
  location: location
}

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = {
  name: registryName
}

resource mayPull 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(registry.id, identity.id, roles.acrPull)
  scope: registry
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.acrPull)
  }
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: '${name}-logs'
  location: location
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: 90
  }
}

resource mayQuery 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(workspace.id, identity.id, roles.logAnalyticsDataReader)
  scope: workspace
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.logAnalyticsDataReader)
  }
}

resource maySeeWorkspace 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(workspace.id, identity.id, roles.monitoringReader)
  scope: workspace
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.monitoringReader)
  }
}

resource revealVaults 'Microsoft.KeyVault/vaults@2023-07-01' existing = [for vaultName in revealVaultNames: {
  name: vaultName
}]

resource mayReveal 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (vaultName, i) in revealVaultNames: {
  name: guid(resourceGroup().id, vaultName, identity.id, roles.keyVaultSecretsUser)
  scope: revealVaults[i]
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsUser)
  }
}]

// --- The network ----------------------------------------------------------------------------------------------------

resource network 'Microsoft.Network/virtualNetworks@2023-11-01' = {
  name: name
  location: location
  properties: {
    addressSpace: {
      addressPrefixes: [
        '10.60.0.0/16'
      ]
    }
    subnets: [
      {
        name: 'apps'
        properties: {
          addressPrefix: '10.60.0.0/23'
          delegations: [
            {
              name: 'apps'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'database'
        properties: {
          addressPrefix: '10.60.2.0/28'
          delegations: [
            {
              name: 'database'
              properties: {
                serviceName: 'Microsoft.DBforPostgreSQL/flexibleServers'
              }
            }
          ]
        }
      }
      {
        // For the private endpoint of the share below, and those of vaults: docs/install.md.
        name: 'endpoints'
        properties: {
          addressPrefix: '10.60.3.0/24'
        }
      }
    ]
  }
}

resource databaseZone 'Microsoft.Network/privateDnsZones@2020-06-01' = {
  name: '${name}.private.postgres.database.azure.com'
  location: 'global'
}

resource databaseZoneLink 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = {
  parent: databaseZone
  name: name
  location: 'global'
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}

resource vaultZone 'Microsoft.Network/privateDnsZones@2020-06-01' = {
  name: 'privatelink.vaultcore.azure.net'
  location: 'global'
}

resource vaultZoneLink 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = {
  parent: vaultZone
  name: name
  location: 'global'
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}

resource fileZone 'Microsoft.Network/privateDnsZones@2020-06-01' = {
  // The function's full name: a resource of this file is called environment as well.
  name: 'privatelink.file.${az.environment().suffixes.storage}'
  location: 'global'
}

resource fileZoneLink 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = {
  parent: fileZone
  name: name
  location: 'global'
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}

// --- The database ---------------------------------------------------------------------------------------------------

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2024-08-01' = {
  name: '${name}-${uniqueString(resourceGroup().id)}'
  location: location
  sku: {
    name: 'Standard_B2s'
    tier: 'Burstable'
  }
  properties: {
    version: '16'
    administratorLogin: 'kvadmin'
    administratorLoginPassword: databasePassword
    storage: {
      storageSizeGB: 32
      autoGrow: 'Enabled'
    }
    backup: {
      backupRetentionDays: 30
      geoRedundantBackup: 'Disabled'
    }
    highAvailability: {
      mode: 'Disabled'
    }
    network: {
      publicNetworkAccess: 'Disabled'
      delegatedSubnetResourceId: '${network.id}/subnets/database'
      privateDnsZoneArmResourceId: databaseZone.id
    }
  }
  dependsOn: [
    databaseZoneLink
  ]
}

resource database 'Microsoft.DBforPostgreSQL/flexibleServers/databases@2024-08-01' = {
  parent: server
  name: 'kvadmin'
}

// --- Where archives of whole vaults lie -----------------------------------------------------------------------------

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  // At most 24 letters and digits, and of the whole world.
  name: take('${name}${uniqueString(resourceGroup().id)}', 24)
  location: location
  sku: {
    name: 'Standard_LRS'
  }
  kind: 'StorageV2'
  properties: {
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    // Container Apps mounts a share by the account's key, and by nothing else.
    allowSharedKeyAccess: true
    publicNetworkAccess: 'Disabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: 'Deny'
    }
  }
}

resource files 'Microsoft.Storage/storageAccounts/fileServices@2023-05-01' = {
  parent: storage
  name: 'default'
  properties: {
    protocolSettings: {
      smb: {
        versions: 'SMB3.1.1'
        authenticationMethods: 'NTLMv2'
        channelEncryption: 'AES-128-GCM;AES-256-GCM'
      }
    }
  }
}

resource share 'Microsoft.Storage/storageAccounts/fileServices/shares@2023-05-01' = {
  parent: files
  name: 'archives'
  properties: {
    enabledProtocols: 'SMB'
    shareQuota: 100
  }
}

resource fileEndpoint 'Microsoft.Network/privateEndpoints@2023-11-01' = {
  name: '${name}-archives'
  location: location
  properties: {
    subnet: {
      id: '${network.id}/subnets/endpoints'
    }
    privateLinkServiceConnections: [
      {
        name: 'archives'
        properties: {
          privateLinkServiceId: storage.id
          groupIds: [
            'file'
          ]
        }
      }
    ]
  }
}

resource fileEndpointName 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2023-11-01' = {
  parent: fileEndpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: 'file'
        properties: {
          privateDnsZoneId: fileZone.id
        }
      }
    ]
  }
}

// --- The apps -------------------------------------------------------------------------------------------------------

resource environment 'Microsoft.App/managedEnvironments@2024-03-01' = {
  name: name
  location: location
  properties: {
    vnetConfiguration: {
      infrastructureSubnetId: '${network.id}/subnets/apps'
      internal: true
    }
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
    ]
    appLogsConfiguration: {
      destination: 'log-analytics'
      logAnalyticsConfiguration: {
        customerId: workspace.properties.customerId
        sharedKey: workspace.listKeys().primarySharedKey
      }
    }
  }
}

resource mount 'Microsoft.App/managedEnvironments/storages@2024-03-01' = {
  parent: environment
  name: 'archives'
  properties: {
    azureFile: {
      accountName: storage.name
      accountKey: storage.listKeys().keys[0].value
      shareName: share.name
      accessMode: 'ReadWrite'
    }
  }
}

var volumes = [
  {
    name: 'archives'
    storageType: 'AzureFile'
    storageName: mount.name
    // The user that the image runs as, and nobody else. Web servers see within a second what a worker wrote.
    mountOptions: 'uid=10001,gid=10001,dir_mode=0700,file_mode=0600,actimeo=1'
  }
]

var volumeMounts = [
  {
    volumeName: 'archives'
    mountPath: '/data'
  }
]

var secrets = [
  {
    name: 'secret-key'
    value: secretKey
  }
  {
    name: 'database-url'
    value: 'postgres://kvadmin:${uriComponent(databasePassword)}@${server.properties.fullyQualifiedDomainName}/kvadmin?sslmode=require'
  }
  {
    name: 'cache-url'
    value: 'redis://:${uriComponent(cachePassword)}@${cacheName}:6379/0'
  }
]

var settings = [
  {
    name: 'KVADMIN_SECRET_KEY'
    secretRef: 'secret-key'
  }
  {
    name: 'DATABASE_URL'
    secretRef: 'database-url'
  }
  {
    name: 'CACHE_URL'
    secretRef: 'cache-url'
  }
  {
    name: 'KVADMIN_CREDENTIAL'
    value: 'managed-identity'
  }
  {
    name: 'AZURE_CLIENT_ID'
    value: identity.properties.clientId
  }
  {
    name: 'AZURE_TENANT_ID'
    value: subscription().tenantId
  }
  {
    name: 'KVADMIN_WORKSPACES'
    value: workspace.properties.customerId
  }
  {
    name: 'KVADMIN_ALLOWED_HOSTS'
    value: openedAt
  }
  {
    name: 'KVADMIN_TRUSTED_ORIGINS'
    value: 'https://${openedAt}'
  }
  {
    name: 'KVADMIN_BASE_URL'
    value: 'https://${openedAt}'
  }
  {
    name: 'KVADMIN_BEHIND_PROXY'
    value: 'true'
  }
  {
    name: 'KVADMIN_TRUSTED_PROXIES'
    value: '1'
  }
]

// The app registration trusts the identity instead of a secret: docs/entra.md.
var signIn = [
  {
    name: 'KVADMIN_OIDC_CLIENT_ID'
    value: signInClientId
  }
  {
    name: 'KVADMIN_OIDC_CREDENTIAL'
    value: 'managed-identity'
  }
  {
    name: 'KVADMIN_OIDC_GROUPS'
    value: signInGroups
  }
]

var allSettings = empty(signInClientId) ? settings : concat(settings, signIn)

resource web 'Microsoft.App/containerApps@2024-03-01' = {
  name: webName
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    environmentId: environment.id
    workloadProfileName: 'Consumption'
    configuration: {
      secrets: secrets
      registries: [
        {
          server: registry.properties.loginServer
          identity: identity.id
        }
      ]
      ingress: {
        external: true
        targetPort: 8000
        transport: 'auto'
        allowInsecure: false
      }
    }
    template: {
      terminationGracePeriodSeconds: 40
      initContainers: [
        {
          // Any number of replicas may do so at once: one works, the others wait.
          name: 'migrate'
          image: image
          command: [
            'python'
            'manage.py'
            'migrate'
            '--no-input'
          ]
          env: allSettings
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
        }
      ]
      containers: [
        {
          name: 'web'
          image: image
          env: allSettings
          volumeMounts: volumeMounts
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
          probes: [
            {
              type: 'Liveness'
              httpGet: {
                path: '/healthz'
                port: 8000
              }
            }
            {
              type: 'Readiness'
              httpGet: {
                path: '/readyz'
                port: 8000
              }
            }
          ]
        }
      ]
      scale: {
        minReplicas: 2
        maxReplicas: 4
      }
      volumes: volumes
    }
  }
  dependsOn: [
    mayPull
    database
    // By its public name the share answers nobody.
    fileEndpointName
    fileZoneLink
  ]
}

resource worker 'Microsoft.App/containerApps@2024-03-01' = {
  name: '${name}-worker'
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    environmentId: environment.id
    workloadProfileName: 'Consumption'
    configuration: {
      secrets: secrets
      registries: [
        {
          server: registry.properties.loginServer
          identity: identity.id
        }
      ]
    }
    template: {
      terminationGracePeriodSeconds: 300
      containers: [
        {
          name: 'worker'
          image: image
          command: [
            'python'
            'manage.py'
            'worker'
          ]
          env: allSettings
          volumeMounts: volumeMounts
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
        }
      ]
      scale: {
        minReplicas: 1
        maxReplicas: 1
      }
      volumes: volumes
    }
  }
  dependsOn: [
    mayPull
    // Whose first replica brings the database up to date. A worker that is earlier ends, and is started again.
    web
  ]
}

// Counts that may be lost: of sign-ins that failed, and of codes that were used.
resource cache 'Microsoft.App/containerApps@2024-03-01' = {
  name: cacheName
  location: location
  properties: {
    environmentId: environment.id
    workloadProfileName: 'Consumption'
    configuration: {
      secrets: [
        {
          name: 'cache-password'
          value: cachePassword
        }
      ]
      ingress: {
        external: false
        targetPort: 6379
        exposedPort: 6379
        transport: 'tcp'
      }
    }
    template: {
      containers: [
        {
          name: 'cache'
          image: 'docker.io/library/redis:7'
          command: [
            'sh'
            '-c'
            'exec redis-server --save "" --appendonly no --requirepass "$CACHE_PASSWORD"'
          ]
          env: [
            {
              name: 'CACHE_PASSWORD'
              secretRef: 'cache-password'
            }
          ]
          resources: {
            cpu: json('0.25')
            memory: '0.5Gi'
          }
        }
      ]
      scale: {
        minReplicas: 1
        maxReplicas: 1
      }
    }
  }
}

@description('Who gets the roles on subscriptions and vaults.')
output objectId string = identity.properties.principalId

@description('AZURE_CLIENT_ID of kvadmin.')
output clientId string = identity.properties.clientId

@description('Where vaults send their access log.')
output workspaceId string = workspace.id

@description('Where kvadmin answers, inside the virtual network.')
output address string = 'https://${openedAt}'

@description('What the names in the domain of the environment lead to.')
output environmentIp string = environment.properties.staticIp

@description('The domain of the environment.')
output environmentDomain string = environment.properties.defaultDomain
